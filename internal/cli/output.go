package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mozilla-iam/eksguard/internal/policy"
	"github.com/mozilla-iam/eksguard/internal/review"
)

// reviewFormats are what a report can be printed as.
var reviewFormats = []string{"text", "json", "sarif", "junit", "github", "gitlab"}

// reviewOutput is one FORMAT[=FILE] of --output. Without a file it goes to standard output.
type reviewOutput struct{ format, file string }

// parseOutputs reads the values of --output.
func parseOutputs(values []string) ([]reviewOutput, error) {
	var outputs []reviewOutput
	files := map[string]bool{}
	for _, value := range values {
		format, file, hasFile := strings.Cut(value, "=")
		if !slices.Contains(reviewFormats, format) {
			last := len(reviewFormats) - 1
			return nil, fmt.Errorf("--output %q: want %s or %s, and =FILE after it for a file",
				value, strings.Join(reviewFormats[:last], ", "), reviewFormats[last])
		}
		if hasFile && file == "" {
			return nil, fmt.Errorf("--output %q: the name of the file is missing", value)
		}
		if file != "" {
			file = filepath.Clean(file)
		}
		if files[file] {
			if file == "" {
				return nil, fmt.Errorf("--output %q: only one format can go to standard output; write the others to files: %s=FILE",
					value, format)
			}
			return nil, fmt.Errorf("--output %q: another format goes to that file", value)
		}
		files[file] = true
		outputs = append(outputs, reviewOutput{format: format, file: file})
	}
	return outputs, nil
}

// write writes the report. A file is written only when all of it is there to be written.
func (o reviewOutput) write(stdout, stderr io.Writer, report *review.Report, snapshot *policy.Snapshot) error {
	if o.file == "" {
		return o.encode(stdout, stderr, report, snapshot)
	}
	var text bytes.Buffer
	if err := o.encode(&text, stderr, report, snapshot); err != nil {
		return err
	}
	// As any other output: the user's umask says who reads it.
	const mode = 0o666
	if err := os.WriteFile(o.file, text.Bytes(), mode); err != nil {
		return fmt.Errorf("--output: %w", err)
	}
	return nil
}

func (o reviewOutput) encode(w, stderr io.Writer, report *review.Report, snapshot *policy.Snapshot) error {
	folder, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("working directory: %w", err)
	}
	switch o.format {
	case "json":
		return report.WriteJSON(w)
	case "sarif":
		return report.WriteSARIF(w, folder, review.Tool{Version: version, Policies: snapshot.Policies()})
	case "junit":
		// JUnit's XML has no place for them.
		for _, note := range report.Notes {
			_, _ = fmt.Fprintf(stderr, "eksguard: note: %s\n", note)
		}
		return report.WriteJUnit(w)
	case "github":
		return report.WriteGitHub(w, folder)
	case "gitlab":
		return report.WriteGitLab(w, folder)
	default:
		return report.WriteText(w, isTerminal(w))
	}
}

// finish writes the report of a review or an audit to all outputs. Its error is what the command ends with.
func finish(cmd *cobra.Command, outputs []reviewOutput, report *review.Report, snapshot *policy.Snapshot) error {
	for _, output := range outputs {
		if err := output.write(cmd.OutOrStdout(), cmd.ErrOrStderr(), report, snapshot); err != nil {
			return err
		}
	}
	switch {
	case report.Summary.Unread > 0:
		return errUnread
	case report.Summary.Denied > 0:
		return errDenied
	default:
		return nil
	}
}

// printJSON prints what a command tells, as a program reads it.
func printJSON(w io.Writer, told any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(told)
}
