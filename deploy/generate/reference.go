package main

import (
	"fmt"
	"strings"
)

const introduction = `# The eksguard chart

<!-- Written by ` + "`make generate`" + ` from values.schema.json. -->

Installs [eksguard](../../README.md) with Helm 3 or 4, into a namespace of its own; a cluster has one.
[docs/install.md](../../docs/install.md) tells how, and which values matter on EKS.

` + "```console" + `
$ helm install eksguard deploy/chart -n eksguard-system --create-namespace \
    --set image.repository=registry.example.com/eksguard --set-string settings.cluster.account=555555555555
` + "```" + `

A value that does not exist, or of a wrong type, is an error that names it.

| value | default | | meaning |
|---|---|---|---|
`

// referenceFile is README.md: a table of all values.
func referenceFile(values []value) (string, error) {
	var b strings.Builder
	b.WriteString(introduction)
	if err := writeRows(&b, values); err != nil {
		return "", err
	}
	return b.String(), nil
}

func writeRows(b *strings.Builder, values []value) error {
	cell := strings.NewReplacer("|", `\|`, "<", "&lt;")
	for _, v := range values {
		preset := ""
		if v.members == nil {
			text, err := inline(v.preset)
			if err != nil {
				return fmt.Errorf("%s: default: %w", v.path, err)
			}
			preset = "`" + text + "`"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", v.path, preset, v.allowed, cell.Replace(v.description))
		if err := writeRows(b, v.members); err != nil {
			return err
		}
	}
	return nil
}
