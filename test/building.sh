# Functions of the scripts that build what tests run. It is sourced by them.

heartbeat=15 # seconds between two signs of life of a build that prints nothing

say() { printf '%s\n' "$*" >&2; }

building=
# The build runs in the background, where Ctrl-C does not reach it.
trap 'end_build' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

end_build() {
	if [[ -n $building ]]; then
		kill "$building" 2>/dev/null || true
		wait "$building" 2>/dev/null || true
	fi
}

# run_build runs a command, and says every now and then that it still runs: $1 is what is said to be built.
run_build() {
	local what=$1 started=$SECONDS outcome=0
	shift
	"$@" &
	building=$!
	while kill -0 "$building" 2>/dev/null; do
		sleep 1
		if (((SECONDS - started) % heartbeat == 0 && SECONDS > started)); then
			say "  … still building $what, $((SECONDS - started)) s"
		fi
	done
	wait "$building" || outcome=$?
	building=
	return $outcome
}

# build_program runs `go build` for the program $1 in bin/, with the rest as its other arguments. The time of a program that
# was up to date stays as it is: by that, `go test` knows whether it has results of tests with this program.
build_program() {
	local name=$1 program=$bin/$1 built=
	shift
	if [[ -x $program ]]; then
		built=$(go tool buildid "$program")
		touch -r "$program" "$program.time"
	fi
	run_build "$name" go build -o "$program" -ldflags "-s -w" "$@"
	if [[ -n $built ]]; then
		[[ $(go tool buildid "$program") != "$built" ]] || touch -r "$program.time" "$program"
		rm -f "$program.time"
	fi
}
