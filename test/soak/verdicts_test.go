package soak

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mozilla-iam/eksguard/policies"
)

// status is an answer of the API server.
func status(code int32, message string, rules ...string) error {
	details := &metav1.StatusDetails{}
	for _, rule := range rules {
		details.Causes = append(details.Causes, metav1.StatusCause{Type: metav1.CauseType(rule)})
	}
	return &apierrors.StatusError{ErrStatus: metav1.Status{Code: code, Message: message, Details: details}}
}

func denial(rules ...string) error {
	return status(http.StatusForbidden, `admission webhook "irsa.eksguard.io" denied the request: […]`, rules...)
}

// A run passes or fails by the judge: what is wrong must not pass for right, whatever happens meanwhile.
func TestTheJudge(t *testing.T) {
	var (
		toBeDenied   = &write{policy: "irsa", object: "{kind: ServiceAccount}", rules: []string{"irsa/ownership"}}
		toBeAllowed  = &write{policy: "irsa", object: "{kind: ServiceAccount}"}
		toBeMutated  = &write{policy: "iam-role", object: "{kind: Pod}", unmutated: []string{"iam-role/bare-name"}}
		nobodysWrite = &write{object: "{kind: Pod}"}

		noReply = status(http.StatusInternalServerError, `Internal error occurred: failed calling webhook "irsa.eksguard.io": EOF`)
		away    = errors.New("connection refused")
	)
	for _, row := range []struct {
		name   string
		takes  taken // by the disturbance that lasts; 0: there is none
		write  *write
		answer error
		fault  error
		want   verdict
	}{
		{"a denial", 0, toBeDenied, denial("irsa/ownership"), nil, right},
		{"an admission", 0, toBeAllowed, nil, nil, right},
		{"what is to be denied got in", 0, toBeDenied, nil, nil, wrong},
		{"what is to be allowed was denied", 0, toBeAllowed, denial("irsa/ownership"), nil, wrong},
		{"denied by another rule", 0, toBeDenied, denial("irsa/form"), nil, wrong},
		{"denied by one rule more", 0, toBeDenied, denial("irsa/form", "irsa/ownership"), nil, wrong},
		{"denied by an effect alone", 0, toBeDenied, denial("Effect"), nil, wrong},
		{"forbidden by somebody else", 0, toBeDenied, status(http.StatusForbidden, "RBAC"), nil, failed},
		{"admitted unmutated", 0, toBeMutated, nil, errors.New("its role is a bare name"), wrong},
		{"no answer", 0, toBeDenied, noReply, nil, failed},
		{"a conflict", 0, toBeAllowed, status(http.StatusConflict, "conflict"), nil, failed},
		{"the API server is away", 0, toBeAllowed, away, nil, failed},

		{"what is to be denied got in while answers are taken away", answers, toBeDenied, nil, nil, wrong},
		{"no answer while answers are taken away", answers, toBeDenied, noReply, nil, unanswered},
		{"no answer for what nobody is asked about", answers, nobodysWrite, noReply, nil, wrong},
		{"denied while answers are taken away", answers, toBeAllowed, denial("irsa/ownership"), nil, wrong},
		{"the API server is away while answers are", answers, toBeAllowed, away, nil, failed},

		{"what is to be denied got in while nobody is registered", registration, toBeDenied, nil, nil, unguarded},
		{"what is to be allowed was denied while nobody is registered", registration, toBeAllowed, denial("irsa/form"), nil, wrong},
		{"unmutated while nobody is registered", registration, toBeMutated, denial("iam-role/bare-name"), nil, unguarded},
		{"no answer while nobody is registered", registration, toBeDenied, noReply, nil, failed},

		{"what is to be denied got in while the API server restarts", apiServer, toBeDenied, nil, nil, wrong},
		{"the API server is away while it restarts", apiServer, toBeDenied, away, nil, unreachable},
		{"the API server is on its way up", apiServer, toBeDenied,
			status(http.StatusForbidden, "not yet ready to handle request"), nil, unreachable},
	} {
		t.Run(row.name, func(t *testing.T) {
			j := &judge{windows: &windows{}, report: newReport()}
			if row.takes != 0 {
				d := disturbance{name: "a disturbance", takes: row.takes}
				j.report.begin(d)
				j.windows.open(d.name, d.takes)
			}
			from := time.Now()
			if got := j.judge(row.write, outcomeOf(row.answer), row.fault, from, from.Add(time.Millisecond)); got != row.want {
				t.Errorf("verdict is %d, want %d", got, row.want)
			}
			if violated := len(j.report.Violations()) > 0; violated != (row.want == wrong || row.want == failed) {
				t.Errorf("violations are %q", j.report.Violations())
			}
		})
	}
}

// A disturbance excuses what it overlaps, and nothing else.
func TestAWindowEnds(t *testing.T) {
	at := func(seconds int) time.Time { return time.Unix(int64(1000+seconds), 0) }
	w := &windows{all: []*window{{name: "a disturbance", takes: registration, from: at(10), to: at(20)}}}
	var got []string
	for _, span := range [][2]int{{1, 9}, {9, 11}, {12, 13}, {19, 21}, {21, 22}} {
		got = append(got, fmt.Sprint(w.excuse(registration, at(span[0]), at(span[1])) != nil, w.excuse(answers, at(span[0]), at(span[1])) != nil))
	}
	want := []string{"false false", "true false", "true false", "true false", "false false"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if gap := w.all[0].gap(); gap != 11*time.Second {
		t.Errorf("the gap is %s", gap)
	}
}

func TestLeaksAreFound(t *testing.T) {
	for name, row := range map[string]struct {
		how        string
		begin, end measures
		want       int
	}{
		"as at the begin":          {"idle", measures{goroutines: 100, live: 10 << 20}, measures{goroutines: 100, live: 12 << 20}, 0},
		"busy":                     {"killed", measures{goroutines: 100}, measures{goroutines: 250}, 0},
		"not idle though it is":    {"idle", measures{goroutines: 100}, measures{goroutines: 250}, 1},
		"more for having the lead": {"idle", measures{goroutines: 100}, measures{goroutines: 160, leads: true}, 0},
		"a heap that has grown":    {"killed", measures{live: 10 << 20}, measures{live: 100 << 20}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReport()
			r.checkLeaks(&life{name: "A1", how: row.how, begin: row.begin, end: row.end})
			if got := r.Violations(); len(got) != row.want {
				t.Errorf("violations are %q, want %d", got, row.want)
			}
		})
	}
}

func TestAlarmsAreFound(t *testing.T) {
	l, err := newWatchedLog("", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		`{"level":"INFO","msg":"violation","message":"a panic: of words"}`, "==================", "WARNING: DATA RACE", "Write at 0x00c0",
		"panic: an end", "goroutine 1",
	} {
		if _, err := l.Write([]byte(line + "\n")); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff("WARNING: DATA RACE\nWrite at 0x00c0\npanic: an end\ngoroutine 1\n", strings.Join(l.close(), "|")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The table of writes names every policy of the default bundle, with something that is denied and something that is not.
func TestEveryPolicyIsAsked(t *testing.T) {
	asked := map[string][2]bool{}
	for _, one := range scenarios() {
		for i := range one.writes {
			w := &one.writes[i]
			if _, err := w.parse("a"); err != nil {
				t.Error(err)
			}
			seen := asked[w.policy]
			if len(w.rules) > 0 {
				seen[0] = true
			} else {
				seen[1] = true
			}
			asked[w.policy] = seen
		}
	}
	// What nobody is asked about and the policy that comes and goes are not among those of the bundle.
	want := map[string][2]bool{"": {false, true}, "soak": {false, true}}
	folders, err := fs.ReadDir(policies.FS, ".")
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range folders {
		if folder.IsDir() && folder.Name() != "lib" {
			want[strings.ReplaceAll(folder.Name(), "_", "-")] = [2]bool{true, true}
		}
	}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
