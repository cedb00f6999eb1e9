// Command image builds the container image of eksguard, for amd64 and arm64, with its SBOM, as an OCI image layout, and
// pushes it where that is asked for. It needs no container runtime and reads no registry.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1) //nolint:gocritic // the signals need no goodbye
	}
}

func run(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	source := flags.String("source", ".", "`folder` with the repository of eksguard")
	output := flags.String("output", "", "`folder` to write the OCI image layout and the SBOMs to; it is replaced")
	push := flags.String("push", "", "`repository` to push to, such as registry.example.com/eksguard")
	tag := flags.String("tag", "", "`tag` to push it as (default: the version)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 || *output == "" {
		return errors.New("want -output FOLDER, and nothing but flags")
	}
	if *tag != "" && *push == "" {
		return errors.New("-tag: want -push too")
	}
	built, err := Build(ctx, *source)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, built.Close()) }()
	if err := built.Write(*output); err != nil {
		return err
	}
	digest, err := built.Digest()
	if err != nil {
		return err
	}
	if *push == "" {
		fmt.Println(digest)
		return nil
	}
	pushed, err := built.Push(ctx, *push, *tag)
	if err != nil {
		return err
	}
	fmt.Println(pushed)
	return nil
}
