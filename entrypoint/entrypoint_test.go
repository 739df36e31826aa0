package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"
)

// The tests run the built binary on real processes; a condition that never comes true ends a test after patience.
const patience = 2 * time.Minute

var binary string

func TestMain(m *testing.M) {
	folder, err := os.MkdirTemp("", "entrypoint")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(folder, "entrypoint")
	if output, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		panic(fmt.Sprintf("%v: %s", err, output))
	}
	code := m.Run()
	os.RemoveAll(folder)
	os.Exit(code)
}

// session is one container: an entrypoint and its shared folder.
type session struct {
	t              *testing.T
	dir            string
	environ        []string
	command        *exec.Cmd
	stdout, stderr bytes.Buffer
	ended          chan struct{}
}

func prepare(t *testing.T, environ ...string) *session {
	t.Helper()
	t.Parallel() // most of the time is waiting
	s := &session{t: t, dir: t.TempDir(), environ: environ, ended: make(chan struct{})}
	s.touch("ready")
	return s
}

func (s *session) start(args ...string) *session {
	s.t.Helper()
	s.command = exec.Command(binary, append([]string{"--"}, args...)...)
	s.command.Env = append(append(os.Environ(), "MLOPS_ENTRYPOINT_DIR="+s.dir), s.environ...)
	s.command.Dir = s.dir
	s.command.Stdout, s.command.Stderr = &s.stdout, &s.stderr
	s.command.WaitDelay = 20 * time.Second // an escaped process may hold our buffers' pipes open
	if err := s.command.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		_ = s.command.Wait()
		close(s.ended)
	}()
	s.t.Cleanup(func() {
		_ = s.command.Process.Kill()
		<-s.ended
	})
	return s
}

func (s *session) touch(name string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), nil, 0o644); err != nil {
		s.t.Fatal(err)
	}
}

func (s *session) read(name string) string {
	data, _ := os.ReadFile(filepath.Join(s.dir, name))
	return string(data)
}

func (s *session) signal(number syscall.Signal) {
	s.t.Helper()
	if err := s.command.Process.Signal(number); err != nil {
		s.t.Fatal(err)
	}
}

func until(t *testing.T, what string, check func() bool) {
	t.Helper()
	for limit := time.Now().Add(patience); !check(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("after %s still not: %s", patience, what)
		}
	}
}

func (s *session) untilFile(name string) {
	s.t.Helper()
	until(s.t, name+" appears", func() bool {
		_, err := os.Stat(filepath.Join(s.dir, name))
		return err == nil
	})
}

// done gives the outcome as soon as it is recorded.
func (s *session) done() outcome {
	s.t.Helper()
	s.untilFile("done.json")
	var found outcome
	if err := json.Unmarshal([]byte(s.read("done.json")), &found); err != nil {
		s.t.Fatal(err)
	}
	return found
}

// exit gives the entrypoint's own exit code.
func (s *session) exit() int {
	s.t.Helper()
	select {
	case <-s.ended:
		return s.command.ProcessState.ExitCode()
	case <-time.After(patience):
		s.t.Fatalf("the entrypoint did not end; stderr: %s", s.stderr.String())
		return -1
	}
}

func (s *session) acknowledged() (outcome, int) {
	s.t.Helper()
	found := s.done()
	s.touch("ack")
	return found, s.exit()
}

func wantSignal(t *testing.T, found outcome, name string) {
	t.Helper()
	if found.Signal == nil || *found.Signal != name {
		t.Fatalf("want signal %s, have %+v", name, found)
	}
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func (s *session) pid(name string) int {
	s.t.Helper()
	var pid int
	until(s.t, name+" holds a pid", func() bool {
		var err error
		pid, err = strconv.Atoi(strings.TrimSpace(s.read(name)))
		return err == nil && pid > 0
	})
	return pid
}

func TestRunsTheCommandAndRecordsIt(t *testing.T) {
	before := time.Now().Add(-time.Millisecond)
	s := prepare(t, "MLOPS_OTHER=kept").start("sh", "-c", `echo out; echo err >&2; env | grep ^MLOPS_; pwd; exit 3`)
	found, code := s.acknowledged()
	if code != 3 || found.ExitCode != 3 || found.Signal != nil || found.DeadlineExceeded || found.Terminated || found.OOMKills != 0 {
		t.Fatalf("exit %d, %+v", code, found)
	}
	if want := "out\nMLOPS_OTHER=kept\n" + s.dir + "\n"; s.stdout.String() != want {
		t.Fatalf("stdout: want %q, have %q", want, s.stdout.String())
	}
	if s.stderr.String() != "err\n" {
		t.Fatalf("stderr: %q", s.stderr.String())
	}
	for _, line := range []string{"out\n", "err\n"} {
		if !strings.Contains(s.read("log"), line) || !strings.Contains(found.LogTail, line) {
			t.Fatalf("log %q, tail %q", s.read("log"), found.LogTail)
		}
	}
	var begun started
	if err := json.Unmarshal([]byte(s.read("started.json")), &begun); err != nil || begun.PID == 0 || !slices.Equal(begun.Command[:2], []string{"sh", "-c"}) {
		t.Fatalf("%v %+v", err, begun)
	}
	begin, err1 := time.Parse(timeFormat, found.StartTime)
	end, err2 := time.Parse(timeFormat, found.EndTime)
	if err1 != nil || err2 != nil || begin.Before(before) || end.Before(begin) || begun.StartTime != found.StartTime {
		t.Fatalf("%v %v %+v %+v", err1, err2, found, begun)
	}
}

func TestMeasuresCPUAndMemory(t *testing.T) {
	s := prepare(t).start("sh", "-c", `i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done`)
	found, _ := s.acknowledged()
	if now := newMeter(0); now.first.cpuSeconds != nil && (found.CPUSeconds == nil || *found.CPUSeconds <= 0) {
		t.Fatalf("%+v", found)
	} else if now.first.memory != nil && (found.MemoryPeakBytes == nil || *found.MemoryPeakBytes <= 0) {
		t.Fatalf("%+v", found)
	}
}

func TestWaitsForReady(t *testing.T) {
	s := prepare(t)
	os.Remove(filepath.Join(s.dir, "ready"))
	s.start("sh", "-c", "test -e ready")
	until(t, "the entrypoint has opened its log", func() bool { _, err := os.Stat(filepath.Join(s.dir, "log")); return err == nil })
	s.touch("ready")
	if found, code := s.acknowledged(); code != 0 {
		t.Fatalf("started before ready: %+v", found)
	}
}

func TestTerminatedBeforeReadyStartsNothing(t *testing.T) {
	s := prepare(t)
	os.Remove(filepath.Join(s.dir, "ready"))
	s.start("touch", "ran")
	s.untilFile("log")
	s.signal(syscall.SIGTERM)
	found, code := s.acknowledged()
	if code != 143 || !found.Terminated || found.ExitCode != 143 || s.read("started.json") != "" {
		t.Fatalf("exit %d, %+v", code, found)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "ran")); err == nil {
		t.Fatal("the command ran")
	}
}

func TestCommandThatCannotStart(t *testing.T) {
	s := prepare(t)
	for name, content := range map[string]string{"data": "x", "garbage": "\x01\x02", "orphan": "#!/nonexistent/sh\n"} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	os.Chmod(filepath.Join(s.dir, "garbage"), 0o755)
	os.Chmod(filepath.Join(s.dir, "orphan"), 0o755)
	for command, want := range map[string]int{"no-such-command": 127, "./none": 127, "./data": 126, "./garbage": 126, "./orphan": 127, "/": 126} {
		s := &session{t: t, dir: s.dir, ended: make(chan struct{})}
		s.touch("ready")
		os.Remove(filepath.Join(s.dir, "done.json"))
		os.Remove(filepath.Join(s.dir, "ack"))
		found, code := s.start(command).acknowledged()
		if code != want || found.ExitCode != want {
			t.Errorf("%s: want %d, have %d and %+v", command, want, code, found)
		}
		if !strings.Contains(s.stderr.String(), command) || !strings.Contains(s.read("log"), command) || !strings.Contains(found.LogTail, command) {
			t.Errorf("%s: stderr %q, log %q", command, s.stderr.String(), s.read("log"))
		}
	}
}

func TestForwardsSignalsToTheWholeGroup(t *testing.T) {
	for _, number := range []syscall.Signal{syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGQUIT} {
		name := strings.TrimPrefix(*signalName(number), "SIG")
		t.Run(name, func(t *testing.T) {
			// dash keeps SIGINT and SIGQUIT ignored in background children, so the child is a shell in the foreground
			s := prepare(t).start("sh", "-c", `trap 'echo parent >>got; exit 7' `+name+`; sh -c 'trap "echo child >>got; exit 0" `+name+`; touch up; while :; do sleep 0.01; done'`)
			s.untilFile("up")
			s.signal(number)
			found, code := s.acknowledged()
			if code != 7 || found.Terminated || found.Signal != nil {
				t.Fatalf("exit %d, %+v", code, found)
			}
			if got := s.read("got"); !strings.Contains(got, "parent") || !strings.Contains(got, "child") {
				t.Fatalf("got %q", got)
			}
		})
	}
}

func TestSignalThatEndsTheCommand(t *testing.T) {
	s := prepare(t).start("sh", "-c", `kill -SEGV $$`)
	found, code := s.acknowledged()
	wantSignal(t, found, "SIGSEGV")
	if code != 139 || found.ExitCode != 139 {
		t.Fatalf("exit %d, %+v", code, found)
	}
}

func TestDeadlineAsksFirst(t *testing.T) {
	s := prepare(t, "MLOPS_ENTRYPOINT_DEADLINE_SECONDS=0.3").start("sh", "-c", `trap 'echo saved; exit 5' TERM; while :; do sleep 0.01; done`)
	found, code := s.acknowledged()
	if code != 5 || !found.DeadlineExceeded || found.Terminated || !strings.Contains(found.LogTail, "saved") {
		t.Fatalf("exit %d, %+v", code, found)
	}
}

func TestDeadlineThenKills(t *testing.T) {
	begin := time.Now()
	s := prepare(t, "MLOPS_ENTRYPOINT_DEADLINE_SECONDS=0.1").start("sh", "-c", `trap '' TERM; while :; do sleep 0.05; done`)
	found, code := s.acknowledged()
	wantSignal(t, found, "SIGKILL")
	if took := time.Since(begin); code != 137 || !found.DeadlineExceeded || took < deadlineGrace {
		t.Fatalf("exit %d after %s, %+v", code, took, found)
	}
}

func TestNoDeadlineByDefault(t *testing.T) {
	s := prepare(t, "MLOPS_ENTRYPOINT_DEADLINE_SECONDS=0").start("true")
	if found, code := s.acknowledged(); code != 0 || found.DeadlineExceeded {
		t.Fatalf("exit %d, %+v", code, found)
	}
}

func TestTerminationKeepsTimeForTheUpload(t *testing.T) {
	s := prepare(t, "MLOPS_ENTRYPOINT_GRACE_SECONDS=8", "MLOPS_ENTRYPOINT_UPLOAD_SECONDS=7.5").
		start("sh", "-c", `trap '' TERM; touch up; while :; do sleep 0.05; done`)
	s.untilFile("up")
	asked := time.Now()
	s.signal(syscall.SIGTERM)
	found := s.done()
	took := time.Since(asked)
	wantSignal(t, found, "SIGKILL")
	if !found.Terminated || found.DeadlineExceeded || took < 500*time.Millisecond || took > 4500*time.Millisecond {
		t.Fatalf("after %s: %+v", took, found)
	}
	// nobody acknowledges: it ends three seconds before the grace does
	if code, took := s.exit(), time.Since(asked); code != 137 || took < 4900*time.Millisecond || took > 7500*time.Millisecond {
		t.Fatalf("exit %d after %s", code, took)
	}
}

func TestTerminatedCommandThatSavesIsAskedOnly(t *testing.T) {
	s := prepare(t).start("sh", "-c", `trap 'echo saved; exit 0' TERM; touch up; while :; do sleep 0.01; done`)
	s.untilFile("up")
	s.signal(syscall.SIGTERM)
	found, code := s.acknowledged()
	if code != 0 || !found.Terminated || found.Signal != nil || !strings.Contains(found.LogTail, "saved") {
		t.Fatalf("exit %d, %+v", code, found)
	}
}

func TestTerminationDuringTheUploadBoundsTheWait(t *testing.T) {
	s := prepare(t, "MLOPS_ENTRYPOINT_GRACE_SECONDS=3.2").start("sh", "-c", "exit 4")
	if found := s.done(); found.Terminated {
		t.Fatalf("%+v", found)
	}
	s.signal(syscall.SIGTERM)
	if code := s.exit(); code != 4 {
		t.Fatalf("exit %d", code)
	}
}

func TestUnacknowledgedEndIsBounded(t *testing.T) {
	s := prepare(t, "MLOPS_ENTRYPOINT_ACK_SECONDS=0.2").start("sh", "-c", "exit 4")
	s.done()
	if code := s.exit(); code != 4 || !strings.Contains(s.stderr.String(), "did not acknowledge") {
		t.Fatalf("exit %d, %s", code, s.stderr.String())
	}
}

func TestWaitsForTheAcknowledgement(t *testing.T) {
	s := prepare(t).start("true")
	s.done()
	if !alive(s.command.Process.Pid) {
		t.Fatal("did not wait")
	}
	s.touch("ack")
	if code := s.exit(); code != 0 {
		t.Fatalf("exit %d", code)
	}
}

func TestNeverRunsTwice(t *testing.T) {
	s := prepare(t).start("sh", "-c", "echo once >>ran; exit 9")
	s.acknowledged()
	again := &session{t: t, dir: s.dir, ended: make(chan struct{})}
	again.start("sh", "-c", "echo twice >>ran")
	if code := again.exit(); code != 9 || s.read("ran") != "once\n" {
		t.Fatalf("exit %d, ran %q", code, s.read("ran"))
	}
}

func TestUnreadableOutcomeStartsNothing(t *testing.T) {
	s := prepare(t)
	s.touch("done.json")
	s.start("touch", "ran")
	if code := s.exit(); code != exitOwn {
		t.Fatalf("exit %d", code)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "ran")); err == nil {
		t.Fatal("the command ran")
	}
}

func TestReapsOrphans(t *testing.T) {
	// the middle shell ends at once, so its child becomes an orphan, ends, and must not stay a zombie
	s := prepare(t).start("sh", "-c", `sh -c 'sh -c "echo \$\$ >orphan" &'; while [ ! -e stop ]; do sleep 0.01; done`)
	pid := s.pid("orphan")
	until(t, "the orphan is reaped", func() bool { return !alive(pid) })
	if _, err := os.Stat(filepath.Join(s.dir, "done.json")); err == nil {
		t.Fatal("the command ended too early to show it")
	}
	s.touch("stop")
	s.acknowledged()
}

func TestKillsWhatIsLeftInTheGroup(t *testing.T) {
	s := prepare(t).start("sh", "-c", `sh -c 'trap "" TERM HUP; echo $$ >left; while :; do sleep 0.05; done' & while [ ! -s left ]; do sleep 0.01; done`)
	pid := s.pid("left")
	if _, code := s.acknowledged(); code != 0 || alive(pid) {
		t.Fatalf("exit %d, alive %t", code, alive(pid))
	}
}

func TestEscapedProcessDoesNotHoldTheEnd(t *testing.T) {
	s := prepare(t).start("sh", "-c", `setsid sh -c 'echo $$ >left; exec sleep 1000' & while [ ! -s left ]; do sleep 0.01; done; echo last words`)
	pid := s.pid("left")
	found := s.done()
	if !strings.Contains(found.LogTail, "last words") {
		t.Fatalf("%+v", found)
	}
	until(t, "the escaped process is gone", func() bool { return !alive(pid) })
	s.touch("ack")
	if code := s.exit(); code != 0 {
		t.Fatalf("exit %d", code)
	}
}

func TestLogIsBounded(t *testing.T) {
	s := prepare(t, "MLOPS_ENTRYPOINT_LOG_BYTES=40000").start("sh", "-c", `i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done`)
	found, _ := s.acknowledged()
	log := s.read("log")
	if len(log) > 40100 || len(log) < 30000 {
		t.Fatalf("%d bytes", len(log))
	}
	if !strings.HasPrefix(log, "line 0\nline 1\n") || !strings.HasSuffix(log, "line 19999\n") {
		t.Fatalf("%q … %q", log[:50], log[len(log)-50:])
	}
	head, tail, _ := strings.Cut(log, "\n… ")
	count, tail, isCut := strings.Cut(tail, " bytes cut …\n")
	cut, err := strconv.Atoi(count)
	if whole := s.stdout.Len(); !isCut || err != nil || len(head)+cut+len(tail) != whole {
		t.Fatalf("%d + %d + %d != %d (%v)", len(head), cut, len(tail), whole, err)
	}
	if s.stdout.String()[:len(head)] != head || !strings.HasSuffix(s.stdout.String(), tail) {
		t.Fatal("head or tail is not the text's")
	}
	if len(found.LogTail) > logTailBytes || !strings.HasSuffix(found.LogTail, "line 19999\n") {
		t.Fatalf("%q", found.LogTail)
	}
	for _, name := range []string{olderTailName, newerTailName} {
		if s.read(name) != "" {
			t.Fatalf("%s is left", name)
		}
	}
}

func TestShortLogIsWhole(t *testing.T) {
	for _, count := range []int{0, 1, 500, 501, 749, 750} { // the bound keeps 500 + 250 at least
		t.Run(strconv.Itoa(count), func(t *testing.T) {
			s := prepare(t, "MLOPS_ENTRYPOINT_LOG_BYTES=1000").start("sh", "-c", fmt.Sprintf("head -c %d /dev/zero | tr '\\0' x", count))
			s.acknowledged()
			if log := s.read("log"); log != strings.Repeat("x", count) {
				t.Errorf("became %d", len(log))
			}
		})
	}
}

func TestLogTailIsValidText(t *testing.T) {
	s := prepare(t).start("sh", "-c", `i=0; while [ $i -lt 1000 ]; do printf 'é€😀'; i=$((i+1)); done; printf '\377\000end'`)
	found, _ := s.acknowledged()
	if tail := found.LogTail; !utf8.ValidString(tail) || len(tail) > logTailBytes || len(tail) < logTailBytes-8 || !strings.HasSuffix(tail, "😀\uFFFD\x00end") {
		t.Fatalf("%d bytes %q", len(tail), tail)
	}
	l := &boundedLog{last: bytes.Repeat([]byte{0xff, 'a'}, logTailBytes/2)}
	if tail := l.lastBytes(); len(tail) > logTailBytes || !strings.HasSuffix(tail, "\uFFFDa") {
		t.Fatalf("%d bytes", len(tail))
	}
}

func TestFullDiskDoesNotEndTheCommand(t *testing.T) {
	s := prepare(t)
	if err := os.Symlink("/dev/full", filepath.Join(s.dir, "log")); err != nil {
		t.Fatal(err)
	}
	s.start("sh", "-c", "echo one; echo two")
	if found, code := s.acknowledged(); code != 0 || s.stdout.String() != "one\ntwo\n" || found.LogTail != "one\ntwo\n" {
		t.Fatalf("exit %d, stdout %q, %+v", code, s.stdout.String(), found)
	}
	if !strings.Contains(s.stderr.String(), "no space left") {
		t.Fatalf("%q", s.stderr.String())
	}
}

func TestFolderThatIsNotThere(t *testing.T) {
	s := prepare(t, "MLOPS_ENTRYPOINT_DIR=/nonexistent/folder")
	s.start("true")
	if code := s.exit(); code != exitOwn || !strings.Contains(s.stderr.String(), "/nonexistent/folder") {
		t.Fatalf("exit %d, %q", code, s.stderr.String())
	}
}

func TestCommandLine(t *testing.T) {
	run := func(environ string, args ...string) (string, int) {
		command := exec.Command(binary, args...)
		command.Env = append(os.Environ(), environ)
		output, _ := command.CombinedOutput()
		return string(output), command.ProcessState.ExitCode()
	}
	for _, args := range [][]string{{}, {"--"}, {"python", "train.py"}} {
		if output, code := run("A=b", args...); code != exitUsage || !strings.Contains(output, "--help") {
			t.Errorf("%v: exit %d, %q", args, code, output)
		}
	}
	if output, code := run("A=b", "--help"); code != 0 || !strings.Contains(output, "MLOPS_ENTRYPOINT_GRACE_SECONDS") {
		t.Errorf("exit %d, %q", code, output)
	}
	if output, code := run("A=b", "--version"); code != 0 || !strings.HasPrefix(output, "entrypoint ") {
		t.Errorf("exit %d, %q", code, output)
	}
	for _, wrong := range []string{"DEADLINE_SECONDS=soon", "GRACE_SECONDS=-1", "ACK_SECONDS=NaN", "LOG_BYTES=1G"} {
		if output, code := run(envPrefix+wrong, "--", "true"); code != exitOwn || !strings.Contains(output, wrong[:8]) {
			t.Errorf("%s: exit %d, %q", wrong, code, output)
		}
	}
}

func TestVariablesOfStageInReachTheCommand(t *testing.T) {
	s := prepare(t, "MLOPS_RESUME_FROM=wrong")
	path := filepath.Join(s.dir, "environment.json")
	if err := os.WriteFile(path, []byte(`{"MLOPS_RESUME_FROM": "/mlops/output/checkpoints/a b", "EMPTY": ""}`), 0o644); err != nil {
		t.Fatal(err)
	}
	s.start("sh", "-c", `env | grep -c MLOPS_RESUME_FROM; echo "$MLOPS_RESUME_FROM"; test "${EMPTY-unset}" = ""`)
	if found, code := s.acknowledged(); code != 0 || found.ExitCode != 0 {
		t.Fatalf("%+v, exit code %d", found, code)
	}
	if got := s.read("log"); got != "1\n/mlops/output/checkpoints/a b\n" {
		t.Errorf("the command saw %q", got)
	}
}

func TestWrongVariablesStartNothing(t *testing.T) {
	s := prepare(t)
	if err := os.WriteFile(filepath.Join(s.dir, "environment.json"), []byte("[1]"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.start("touch", "started")
	if code := s.exit(); code != exitOwn {
		t.Errorf("exit code %d", code)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "started")); err == nil {
		t.Error("the command was started")
	}
}

func TestEarlyStoppingIsASuccess(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		grace  string
		signal string
	}{
		"by the signal":   {"touch up; sleep 600", "600", "SIGTERM"},
		"by its own exit": {"trap 'echo saved; exit 3' TERM; touch up; while :; do sleep 0.1; done", "600", ""},
		"killed at last":  {"trap '' TERM; touch up; while :; do sleep 0.1; done", "1", "SIGKILL"},
	} {
		t.Run(name, func(t *testing.T) {
			s := prepare(t, "MLOPS_ENTRYPOINT_GRACE_SECONDS="+c.grace)
			s.start("sh", "-c", c.script)
			s.untilFile("up")
			if err := os.WriteFile(filepath.Join(s.dir, "stop.json.tmp"), []byte(`{"message": "loss was no better"}`), 0o644); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(filepath.Join(s.dir, "stop.json.tmp"), filepath.Join(s.dir, "stop.json")); err != nil {
				t.Fatal(err)
			}
			found, code := s.acknowledged()
			if code != 0 || found.ExitCode != 0 || !found.EarlyStopped || found.Terminated {
				t.Errorf("%+v, exit code %d", found, code)
			}
			signal := ""
			if found.Signal != nil {
				signal = *found.Signal
			}
			if signal != c.signal {
				t.Errorf("signal %q, not %q", signal, c.signal)
			}
			if !strings.Contains(s.read("log"), "stopping early: loss was no better") {
				t.Errorf("log: %s", s.read("log"))
			}
		})
	}
}

func TestPackagesAreSeenAsInAnActivatedEnvironment(t *testing.T) {
	packages := t.TempDir()
	for _, name := range []string{"bin", "lib/python3.11/site-packages"} {
		if err := os.MkdirAll(filepath.Join(packages, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	script := "#!/bin/sh\necho \"tool|$PYTHONPATH|$VIRTUAL_ENV|$MLOPS_ENTRYPOINT_PACKAGES_DIR\"\n"
	if err := os.WriteFile(filepath.Join(packages, "bin", "tool"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	s := prepare(t, "MLOPS_ENTRYPOINT_PACKAGES_DIR="+packages, "PYTHONPATH=/own").start("tool")
	_, code := s.acknowledged()
	want := "tool|" + packages + "/lib/python3.11/site-packages:/own|" + packages + "|\n"
	if code != 0 || s.stdout.String() != want {
		t.Fatalf("exit %d, want %q, have %q (%s)", code, want, s.stdout.String(), s.stderr.String())
	}
}
