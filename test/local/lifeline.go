package local

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
)

// A lifeline ends processes if this program dies without stopping them: a test that runs into its timeout, a kill -9.
// It is a shell that waits for a line which only a program that is alive can send.
type lifeline struct {
	cmd  *exec.Cmd
	held io.WriteCloser
}

// lifelineScript finds in its environment the text by which the processes are known, and the folder to remove, which may
// be empty; among its arguments, the text would make it one of these processes. It looks for them when it is too late to
// be told their ids, but only among the programs that this package starts. An API server that has lost its etcd takes
// long to end, hence the second round; it leaves alone what has been started in the same folder meanwhile.
const lifelineScript = `
read -r _ && exit
processes() {
	if [ -d /proc/self ]; then
		for p in /proc/[0-9]*; do echo "${p#/proc/} $(tr '\0' ' ' <"$p/cmdline")"; done
	else
		ps -A -ww -o pid=,args=
	fi 2>/dev/null
}
ours() {
	processes | while read -r pid args; do
		case "$args" in
		*eksguard\ serve*"$text"* | *etcd\ -*"$text"* | *kube-apiserver\ -*"$text"* | *kube-controller-manager\ -*"$text"*)
			echo "$pid" ;;
		esac
	done
}
left=" $(ours | tr '\n' ' ')"
for pid in $left; do kill -TERM "$pid"; done
sleep 5
for pid in $(ours); do
	case "$left" in *" $pid "*) kill -KILL "$pid" ;; esac
done
[ -z "$folder" ] || rm -rf "$folder"
`

// newLifeline holds a lifeline for the processes whose arguments contain the text. The folder is removed after them,
// unless it is empty.
func newLifeline(text, folder string) (*lifeline, error) {
	// It outlives every context, which is what it is for.
	cmd := exec.CommandContext(context.Background(), "/bin/sh", "-c", lifelineScript, "lifeline")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "text=" + text, "folder=" + folder}
	// What ends this program, such as Ctrl-C, must not end the lifeline too.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	held, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("holding a lifeline: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("holding a lifeline: %w", err)
	}
	return &lifeline{cmd: cmd, held: held}, nil
}

// release lets go of the lifeline once the processes have ended.
func (l *lifeline) release() error {
	if _, err := io.WriteString(l.held, "\n"); err != nil {
		return fmt.Errorf("releasing the lifeline: %w", err)
	}
	_ = l.held.Close() // the line has been sent
	if err := l.cmd.Wait(); err != nil {
		return fmt.Errorf("releasing the lifeline: %w", err)
	}
	return nil
}
