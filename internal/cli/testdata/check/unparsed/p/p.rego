package eksguard.p

deny contains "x" if {
	x := 
}
