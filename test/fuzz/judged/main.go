// Command judged is the process that the fuzzer asks: it serves a judge of the bundle in the folder that it is given, on
// stdin and stdout, and ends with its input.
package main

import (
	"context"
	"log"
	"os"

	"github.com/mozilla-iam/eksguard/test/fuzz/judge"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("judged: ")
	if len(os.Args) != 2 {
		log.Fatal("usage: judged <folder of policies>")
	}
	j, err := judge.New(context.Background(), os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	if err := j.Serve(context.Background(), os.Stdin, os.Stdout); err != nil {
		log.Fatal(err)
	}
}
