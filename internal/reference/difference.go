package reference

import (
	"strings"

	"github.com/pmezard/go-difflib/difflib"
)

// difference shows both texts as one, with "-" before the lines that only the first has and "+" before those that only
// the second has.
func difference(before, after string) string {
	a, b := difflib.SplitLines(strings.TrimRight(before, "\n")), difflib.SplitLines(strings.TrimRight(after, "\n"))
	var merged strings.Builder
	write := func(mark string, lines []string) {
		for _, line := range lines {
			merged.WriteString(mark + line)
		}
	}
	for _, code := range difflib.NewMatcher(a, b).GetOpCodes() {
		if code.Tag == 'e' {
			write(" ", a[code.I1:code.I2])
			continue
		}
		write("-", a[code.I1:code.I2])
		write("+", b[code.J1:code.J2])
	}
	return merged.String()
}
