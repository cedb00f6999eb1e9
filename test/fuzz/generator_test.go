package fuzz_test

import (
	"fmt"
	"strings"
)

// choices turns bytes into decisions, so that the fuzzer, which changes bytes, changes documents.
type choices struct {
	left []byte
	// calm makes documents of which most are as people write them.
	calm bool
}

func (c *choices) below(n int) int {
	if len(c.left) == 0 {
		return 0
	}
	b := c.left[0]
	c.left = c.left[1:]
	return int(b) % n
}

// seldom is true once in n times, or more seldom.
func (c *choices) seldom(n int) bool {
	if c.calm {
		n *= 8
	}
	return c.below(n) == n-1
}

func (c *choices) of(values ...string) string { return values[c.below(len(values))] }

const (
	nodeRole  = "arn:aws:iam::555555555555:role/nodes"
	adminUser = "arn:aws:iam::555555555555:user/admin"
)

// section writes what may stand in mapRoles or mapUsers: mostly a list of entries as people write them, with everything
// that people, or somebody who wants to be misread, might do to it.
func (c *choices) section(arnField string) string {
	var text strings.Builder
	c.calm = c.below(2) == 1
	text.WriteString(c.often("", 6, "---\n", "# roles\n", "%YAML 1.1\n---\n", "\ufeff", "...\n", "--- \n", "\t\n"))
	entries := c.below(5)
	if c.below(3) == 1 {
		text.WriteString("[")
		for i := range entries {
			if i > 0 {
				text.WriteString(",")
			}
			text.WriteString(c.flowEntry(arnField))
		}
		text.WriteString("]")
	} else {
		for range entries {
			text.WriteString(c.blockEntry(arnField))
		}
	}
	text.WriteString(c.often("", 6, "\n---\n", "\n---\n- x", "\n...\n", "\n...\n---\n- {rolearn: a}", "\n# end", "\n\t", "\r---\n- x",
		"\n--- # x", "]", "\x00", "\n- "))
	return text.String()
}

// often gives usual but once in n times, and then one of the others.
func (c *choices) often(usual string, n int, others ...string) string {
	if !c.seldom(n) {
		return usual
	}
	return c.of(others...)
}

func (c *choices) blockEntry(arnField string) string {
	if c.seldom(16) {
		return "- " + c.value() + "\n"
	}
	var text strings.Builder
	dash := c.often("- ", 8, "-   ", "  - ", "-\t", "-\n  ", "- &e ", "- ? ")
	indent := c.often("  ", 8, "    ", " ", "\t", "")
	for i, f := range c.fields(arnField) {
		if i == 0 {
			text.WriteString(dash)
		} else {
			text.WriteString(indent)
		}
		text.WriteString(f.key + c.often(": ", 12, ":", ":  ", " : ", ":\t", ":\n    "))
		switch {
		case f.groups == nil:
			text.WriteString(f.text)
		case c.below(2) == 0:
			text.WriteString("[" + strings.Join(f.groups, c.often(", ", 8, ",", " , ", ",\n   ", ", ,")) + "]")
		default:
			for _, group := range f.groups {
				text.WriteString("\n" + c.often("    - ", 8, "  - ", "   -  ", "    -\t", "    -") + group)
			}
		}
		text.WriteString(c.often("\n", 12, " # c\n", "\r\n", "\n\n", "\r", "\u2028", "\u0085", "#c\n", "\n \n"))
	}
	return text.String()
}

func (c *choices) flowEntry(arnField string) string {
	if c.seldom(16) {
		return c.value()
	}
	var parts []string
	for _, f := range c.fields(arnField) {
		value := f.text
		if f.groups != nil {
			value = "[" + strings.Join(f.groups, ",") + "]"
		}
		parts = append(parts, f.key+c.often(": ", 8, ":", " : ", "\n : ")+value)
	}
	return "{" + strings.Join(parts, c.often(", ", 8, ",", ",\n", ", # c\n")) + "}"
}

type field struct {
	key, text string
	groups    []string
}

func (c *choices) fields(arnField string) []field {
	arn := c.of(nodeRole, adminUser)
	arn = c.often(arn, 3, "arn:aws:iam::555555555555:role/deploy", "ARN:aws:iam::555555555555:ROLE/nodes",
		"arn:aws:iam::555555555555:role/path/nodes", "arn:aws:sts::555555555555:assumed-role/nodes/i-1", `""`, c.value())
	username := c.of("system:node:{{EC2PrivateDNSName}}", "admin")
	username = c.often(username, 4, "'{{SessionName}}'", "{{SessionName}}", c.value())
	fields := []field{{key: arnField, text: arn}, {key: "username", text: username}}
	groups := func() []string {
		list := []string{}
		for range c.below(4) {
			group := c.of("system:nodes", "system:bootstrappers", "system:masters")
			list = append(list, c.often(group, 4, `"system:masters"`, "dev",
				"system:{{SessionName}}", c.value()))
		}
		return list
	}
	if !c.seldom(8) {
		fields = append(fields, field{key: "groups", groups: groups()})
	}
	for c.seldom(5) {
		extra := field{text: c.value(), key: c.of("userid", "groups", "Groups", "GROUPS", "username", "UserName", "uſername",
			"rolearn", "roleARN", "userarn", "group", `"groups"`, `"gro\u0075ps"`, "'groups'", "!!str groups", "<<", `"<<"`,
			"? groups\n ", "y", "1", "~", "null", "sso", "Groups ", "&k groups", "[a]", "userarn\n")}
		if c.below(2) == 0 {
			extra.groups = groups()
		}
		fields = append(fields, extra)
	}
	for i := range fields {
		j := c.below(len(fields))
		if c.seldom(3) {
			fields[i], fields[j] = fields[j], fields[i]
		}
	}
	return fields
}

// value is any scalar, and some that are none.
func (c *choices) value() string {
	return c.of("x", "yes", "No", "on", "y", "'yes'", `"no"`, "true", "~", "null", "", "5", "012", "0o12", "1_000", "1e3", ".5",
		"1.", "0x1F", "-0b1", "1:20", "2001-01-01", "2001-01-01T00:00:00Z", ".inf", ".nan", "+.INF", "-", "=", "<<", "!!str 5",
		"!!int 5", "!!binary c3lzdGVt", "! x", "!x y", "&a system:masters", "*a", "&a [system:masters]", "*e", "{a: b}", "[]",
		"[[x]]", "{}", "|\n      x\n", "|-\n      system:masters", ">-\n      a\n      b", `"\x73ystem:masters"`, `"a\/b"`, `"\u2028"`,
		`"a\`+"\n    "+`b"`, "a\n    b", "'a\n    b'", "a b", "a#b", "a #b", "a: b", "@x", "`x`", "%x", "?", "? a", "\t", "x\ty", "\u00e9",
		"\u2028", "\u0085x", "\ufeffx", "\x7f", "\x01", "\xff", "\U0001F600", "𐀀", "'it''s'", `"\q"`, "x:", ":x", "x,y", "-x", "- x", "---",
		"...", "99999999999999999999", "1.5", "18446744073709551615", "9223372036854775808", "''", `""`, "'", `"`, "*", "&", "!",
		"!!null x", "!!bool yes", "!!float 1", "!<tag:yaml.org,2002:str> 5", "!!merge <<", "!!seq [a]", "!!map {a: b}", "!!set {a}",
		"!!timestamp 2001-01-01", "arn:aws:iam::555555555555:role/x")
}

func (c *choices) accounts() string {
	var text strings.Builder
	for range c.below(4) {
		fmt.Fprintf(&text, "-%s%s%s", c.often(" ", 8, "  ", "\t", " &a ", " !!str "), c.often("555555555555", 2, "012345670123",
			`"012345670123"`, "'555555555555'", "555555555555 # five", "0123_4567_0123", "*a", "5e11", "+55555555555", "[5]",
			"111111111111.0", "0x5555555555", "0o5555555555", c.value()), c.often("\n", 8, "\r\n", "\n\n", " \n"))
	}
	return text.String()
}
