# What OPA's decision log asks: eksguard's own masks, and the rules of bundles in package system.log besides.
package eksguard_decision_log

mask contains rule if some rule in data.system.log.mask

# OPA refuses this one, and with it the event: a mask that cannot be read hides nothing.
mask contains "data.system.log.mask is neither a set nor an array" if {
	not is_set(data.system.log.mask)
	not is_array(data.system.log.mask)
	type_name(data.system.log.mask)
}

# What eksguard has taken out already is named in the event's "erased".
mask contains sprintf("/input/request/%s/%s", [side, field]) if {
	some side in ["object", "oldObject"]
	some field, "(erased)" in input.input.request[side]
}

mask contains sprintf("/input/request/%s/%s/token", [side, section]) if {
	some side in ["object", "oldObject"]
	some section in ["spec", "status"]
	input.input.request[side][section].token == "(erased)"
}

mask contains "/input/request/userInfo/extra" if input.input.request.userInfo.extra == "(erased)"

drop if data.system.log.drop == true
