package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// found gives what patterns find in a text, and what was said.
func found(t *testing.T, text string, bound int64, patterns ...string) (string, []string) {
	t.Helper()
	var said []string
	path := filepath.Join(t.TempDir(), metricsFile)
	metrics, err := newLineMetrics(path, patterns, bound, func(_ string, args ...any) { said = append(said, args[0].(string)) })
	if err != nil {
		t.Fatal(err)
	}
	s := splitter{to: metrics}
	for _, piece := range strings.SplitAfter(text, "l") { // anywhere
		s.next([]byte(piece))
	}
	s.end()
	content, _ := os.ReadFile(path)
	return string(content), said
}

func TestMetricsInLines(t *testing.T) {
	pair := `(?P<name>\w+)[:=] ?(?P<value>[-+.\w]+)`
	for _, row := range []struct{ text, pattern, want string }{
		{"loss: 0.5 acc: 0.25\n", pair, `{"loss":0.5,"acc":0.25}` + "\n"},
		{"epoch 3 loss=1e-3\rloss=2", `epoch (?P<step>\d+)|` + pair, `{"loss":0.001,"step":3}` + "\n" + `{"loss":2}` + "\n"},
		{"step 7: loss 0.5\n", `step (?P<step>\d+): loss (?P<val_loss>\S+)`, `{"val_loss":0.5,"step":7}` + "\n"},
		{"loss=nan loss2=-inf loss3=1e999\n", pair, `{"loss":NaN,"loss2":-Infinity,"loss3":Infinity}` + "\n"},
		{"nothing here\n", pair, ""},
		{"step=9\n", pair, ""},
		{"a=1\n" + strings.Repeat("x=2 ", maxLineBytes) + "\nb=3\n", pair, `{"a":1}` + "\n" + `{"b":3}` + "\n"},
		{"\xff\"=1 \xfe\n", `(?P<name>.")=(?P<value>\d)`, `{"\ufffd\"":1}` + "\n"},
	} {
		if got, said := found(t, row.text, 1<<20, row.pattern); got != row.want || len(said) != 0 {
			t.Errorf("%.40q: %q, not %q; %q", row.text, got, row.want, said)
		}
	}
}

func TestWhatIsNoNumberIsSaidOnce(t *testing.T) {
	got, said := found(t, "a=x\nb=y\nc=1\n", 1<<20, `(?P<name>\w)=(?P<value>\w)`)
	if got != `{"c":1}`+"\n" || len(said) != 1 || !strings.Contains(said[0], `"x"`) {
		t.Fatalf("%q %q", got, said)
	}
}

func TestMetricsAreBounded(t *testing.T) {
	got, said := found(t, strings.Repeat("a=1\n", 100), 45, `(?P<name>\w)=(?P<value>\w)`)
	if got != strings.Repeat(`{"a":1}`+"\n", 5) || len(said) != 1 {
		t.Fatalf("%q %q", got, said)
	}
}

func TestAPatternCostsLinearTime(t *testing.T) {
	begin := time.Now()
	found(t, strings.Repeat("a", 60_000)+"!\n", 1<<20, `^(a|a)*(?P<loss>x)$`)
	if took := time.Since(begin); took > patience {
		t.Fatal(took)
	}
}

func TestMetricsOfACommand(t *testing.T) {
	s := prepare(t, `MLOPS_ENTRYPOINT_STDOUT_METRICS=["(?P<name>loss)=(?P<value>\\S+)"]`)
	s.start("sh", "-c", `printf 'loss='; printf '0.5\n'; echo loss=0.25 >&2; printf 'loss=x'`)
	outcome, _ := s.acknowledged()
	content := s.read(metricsFile)
	for _, line := range []string{`{"loss":0.5}` + "\n", `{"loss":0.25}` + "\n"} { // two streams: in any order
		if !strings.Contains(content, line) {
			t.Fatalf("%q", content)
		}
	}
	if len(outcome.Warnings) != 1 || !strings.Contains(outcome.Warnings[0], `"x"`) {
		t.Fatalf("%q", outcome.Warnings)
	}
}

func TestAPatternThatIsNoneIsSaid(t *testing.T) {
	s := prepare(t, `MLOPS_ENTRYPOINT_STDOUT_METRICS=["(?=x)"]`).start("echo", "fine")
	outcome, code := s.acknowledged()
	if code != 0 || s.stdout.String() != "fine\n" || len(outcome.Warnings) != 1 {
		t.Fatalf("exit %d %+v", code, outcome)
	}
}

func TestListsAreNeverNull(t *testing.T) {
	for _, command := range []string{"true", "no-such-command"} {
		t.Run(command, func(t *testing.T) {
			s := prepare(t).start(command)
			s.acknowledged()
			for _, name := range []string{"done.json", "started.json"} {
				var content map[string]json.RawMessage
				_ = json.Unmarshal([]byte(s.read(name)), &content)
				for _, key := range []string{"warnings", "command"} {
					if value, there := content[key]; there && value[0] != '[' {
						t.Fatalf("%s: %s is %s", name, key, value)
					}
				}
				if _, there := content["warnings"]; name == "done.json" && !there {
					t.Fatal("done.json has no warnings")
				}
			}
		})
	}
}
