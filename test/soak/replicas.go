package soak

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/mozilla-iam/eksguard/test/local"
)

// memoryLimit is what the chart tells Go of its limit of 512Mi (deploy/chart/templates/_names.tpl).
const memoryLimit = "GOMEMLIMIT=460MiB"

// replica is one of the two; it has a life each time that it is started.
type replica struct {
	name  string
	soak  *soak
	guard *local.Eksguard // nil while it is down
	lives int
	life  *life
	log   *watchedLog
}

func (s *soak) newReplica(name string) *replica { return &replica{name: name, soak: s} }

// start starts it, and returns once it is ready.
func (r *replica) start(ctx context.Context) (err error) {
	r.lives++
	folder := filepath.Join(r.soak.folder, r.name)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	config, err := r.soak.bundles.config(folder)
	if err != nil {
		return err
	}
	if r.log, err = newWatchedLog(r.soak.options.Logs, fmt.Sprintf("%s%d.log", r.name, r.lives)); err != nil {
		return err
	}
	r.guard, err = local.StartEksguard(ctx, local.EksguardOptions{
		Binary: r.soak.options.Binary, Kubeconfig: r.soak.plane.Kubeconfig, Settings: r.soak.settingsFile(), Config: config,
		Namespace: ownNamespace, Behind: r.soak.balancer, Log: r.log,
		ExtraArgs: []string{"--certificate-propagation", propagation.String()},
		Env:       []string{memoryLimit},
	})
	if err != nil {
		r.guard = nil
		r.ended(nil)
		return fmt.Errorf("replica %s: %w", r.name, err)
	}
	r.life = r.soak.report.life(fmt.Sprintf("%s%d", r.name, r.lives))
	r.measureBegin()
	return nil
}

// measureBegin measures what it takes at the begin of its life.
func (r *replica) measureBegin() {
	if m, err := measure(r.guard.MetricsURL); err != nil {
		r.soak.report.violation("replica %s: %v", r.name, err)
	} else {
		r.life.begin = m
	}
}

// measureEnd measures what it takes at the end of its life.
func (r *replica) measureEnd(how string) {
	r.life.how = how
	if m, err := measure(r.guard.MetricsURL); err != nil {
		r.soak.report.violation("replica %s: %v", r.name, err)
	} else {
		r.life.end = m
		r.soak.report.checkLeaks(r.life)
	}
}

// drain asks it to end, and waits until it has.
func (r *replica) drain() error {
	r.measureEnd("drained")
	err := r.guard.Stop()
	r.guard = nil
	r.ended(nil)
	return err
}

// kill ends it without asking, and returns once the balancer has noticed.
func (r *replica) kill() error {
	r.measureEnd("killed")
	err := r.guard.Kill()
	r.guard = nil
	r.ended(nil)
	return err
}

// ended judges what it has printed, and how it has ended.
func (r *replica) ended(err error) {
	if err != nil {
		r.soak.report.violation("replica %s: %v", r.name, err)
	}
	for _, found := range r.log.close() {
		r.soak.report.violation("replica %s has printed:\n%s", r.name, found)
	}
}

// running returns an error if it has ended by itself.
func (r *replica) running() error {
	if r.guard == nil {
		return fmt.Errorf("replica %s is not there", r.name)
	}
	select {
	case <-r.guard.Done():
		return fmt.Errorf("replica %s has ended by itself; the end of its log:\n%s", r.name, r.guard.Log())
	default:
		return nil
	}
}

// atRest returns once it has no more goroutines than it may have when nobody asks it.
func (r *replica) atRest(ctx context.Context) error {
	return eventually(ctx, "it has no more goroutines than at the begin", func() error {
		m, err := measure(r.guard.MetricsURL)
		if err != nil {
			return err
		}
		if most := r.life.begin.idle(m.leads); m.goroutines > most {
			return fmt.Errorf("it has %.0f, want at most %.0f", m.goroutines, most)
		}
		return nil
	})
}

// leads tells whether it does the registration.
func (r *replica) leads() bool {
	m, err := measure(r.guard.MetricsURL)
	return err == nil && m.leads
}

// serves returns the certificate that a new connection is shown, DER.
func (r *replica) serves(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	// Which certificate it is is asked, and not whether it is trusted.
	dialer := &tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}
	connection, err := dialer.DialContext(ctx, "tcp", r.guard.Address())
	if err != nil {
		return nil, err
	}
	defer func() { _ = connection.Close() }()
	return connection.(*tls.Conn).ConnectionState().PeerCertificates[0].Raw, nil
}

// watchedLog looks for what a process must not print.
type watchedLog struct {
	file *os.File // nil if it is not kept

	mu     sync.Mutex
	alarms []string
	// more is how many lines are still to be kept of the last alarm.
	more int
}

// newWatchedLog makes one that is kept in a file in a folder, unless that is empty.
func newWatchedLog(folder, name string) (l *watchedLog, err error) {
	l = &watchedLog{}
	if folder != "" {
		l.file, err = os.Create(filepath.Join(folder, name))
	}
	return l, err
}

// alarm is printed by the race detector, by Go when a goroutine panics or the runtime gives up, and by net/http and
// controller-runtime when they catch a panic.
var alarm = regexp.MustCompile(`^WARNING: DATA RACE|^panic: |^fatal error: |panic serving|[Oo]bserved a panic|[Rr]ecovered from panic`)

const linesOfAlarm = 60

// Write implements io.Writer; it is given whole lines.
func (l *watchedLog) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(string(text)) {
		if l.more == 0 && alarm.MatchString(line) {
			l.more = linesOfAlarm
			l.alarms = append(l.alarms, "")
		}
		if l.more > 0 {
			l.more--
			l.alarms[len(l.alarms)-1] += line
		}
	}
	if l.file == nil {
		return len(text), nil
	}
	return l.file.Write(text)
}

// close ends the log of a process that has ended, and returns the alarms in it.
func (l *watchedLog) close() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		_ = l.file.Close() // it is for who looks into it
		l.file = nil
	}
	return l.alarms
}

// leader finds the replica that does the registration, and the other one.
func (s *soak) leader(ctx context.Context) (leader, other *replica, err error) {
	err = eventually(ctx, "there is a leader", func() error {
		for i, r := range s.replicas {
			if r.leads() {
				leader, other = r, s.replicas[1-i]
				return nil
			}
		}
		return errors.New("there is none")
	})
	return leader, other, err
}
