package main

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	readyWait     = 60 * time.Second
	pollEvery     = 100 * time.Millisecond
	sampleEvery   = time.Second // a short training has a peak too
	usageEvery    = 5 * time.Second
	deadlineGrace = 10 * time.Second
	drainWait     = 2 * time.Second
	exitMargin    = 3 * time.Second // of the grace, left for the exit itself
	// What the command leaves there, the kubelet shows in the pod's status.
	terminationLog = "/dev/termination-log"
)

// supervisor runs one command from its start to its acknowledged end.
type supervisor struct {
	cfg          config
	signals      chan os.Signal
	terminatedAt time.Time // of the first SIGTERM; zero: none
	endedAt      time.Time // of the command
	masker       *masker
	log          *boundedLog
	mu           sync.Mutex
	warnings     []string
}

func newSupervisor(cfg config) *supervisor {
	s := &supervisor{cfg: cfg, signals: make(chan os.Signal, 16)}
	signal.Notify(s.signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGQUIT)
	// A reader of our stdout that goes away must not end the training. Ignoring would be inherited by the command.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	return s
}

func (s *supervisor) path(name string) string { return filepath.Join(s.cfg.dir, name) }

func (s *supervisor) run(command, environ []string) int {
	earlier, err := readOutcome(s.path("done.json"))
	if err != nil {
		return s.fail("cannot tell whether the command has run already", err)
	}
	if earlier != nil {
		s.endedAt = time.Now()
		fmt.Fprintf(os.Stderr, "entrypoint: the command ended at %s already and is not started again\n", earlier.EndTime)
		s.awaitAck()
		return earlier.ExitCode
	}
	environ, err = withVariables(environ, s.path("environment.json"))
	if err != nil {
		return s.fail("cannot read the variables that were found out for the command", err)
	}
	values, short, err := s.cfg.mask.secrets(environ)
	if err != nil {
		return s.fail("cannot read a Secret whose values are to be masked", err)
	}
	s.masker = newMasker(values)
	if s.log, err = newLog(s.cfg.dir, s.cfg.logBytes); err != nil {
		return s.fail("cannot write to the folder shared with the sidecar", err)
	}
	if len(short) > 0 {
		s.warn("not masked, as a value of fewer than %d characters is part of ordinary words: %s", minMasked, strings.Join(short, ", "))
	}
	done := s.train(command, environ)
	s.endedAt = time.Now()
	if err := s.log.finish(); err != nil {
		fmt.Fprintf(os.Stderr, "entrypoint: the copy of the log is not whole: %v\n", err)
	}
	if err := s.masker.file(terminationLog); err != nil {
		fmt.Fprintf(os.Stderr, "entrypoint: %v\n", err)
	}
	done.LogTail = s.log.lastBytes()
	done.Warnings = append([]string{}, s.warnings...) // a list in any case: readers take null for an error
	if err := s.record(done); err != nil {
		fmt.Fprintf(os.Stderr, "entrypoint: the outcome could not be recorded: %v\n", err)
	} else {
		s.awaitAck()
	}
	return done.ExitCode
}

func (s *supervisor) fail(what string, err error) int {
	return giveUp(fmt.Errorf("%s: %w", what, err))
}

// giveUp tells why nothing was started, in the pod's status too where there is one.
func giveUp(err error) int {
	text := fmt.Sprintf("entrypoint: %v\n", err)
	fmt.Fprint(os.Stderr, text)
	if file, err := os.OpenFile(terminationLog, os.O_WRONLY|os.O_TRUNC, 0); err == nil {
		_, _ = file.WriteString(text)
		file.Close()
	}
	return exitOwn
}

// say puts a sentence of our own where the command's lines go.
func (s *supervisor) say(format string, args ...any) {
	fmt.Fprintf(io.MultiWriter(os.Stderr, s.log), "entrypoint: %s\n", s.masker.text(fmt.Sprintf(format, args...)))
}

// warn says a sentence and keeps it for the outcome.
func (s *supervisor) warn(format string, args ...any) {
	s.say(format, args...)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.warnings = append(s.warnings, s.masker.text(fmt.Sprintf(format, args...)))
}

// train runs the command and gives its outcome, all but the log.
func (s *supervisor) train(command, environ []string) outcome {
	say := s.say
	ready := s.awaitReady()
	if !s.terminatedAt.IsZero() {
		now := stamp(time.Now())
		say("the pod is being deleted: the command was not started")
		return outcome{ExitCode: 128 + int(syscall.SIGTERM), Signal: signalName(syscall.SIGTERM), StartTime: now, EndTime: now, Terminated: true}
	}
	if !ready {
		say("the sidecar was not ready within %s: starting without it", readyWait)
	}
	metrics, err := newLineMetrics(s.path(metricsFile), s.cfg.patterns, s.cfg.logBytes, s.warn)
	if err != nil {
		s.warn("metrics in the output are not looked for: %v", err)
		metrics = nil
	}
	usage := newMeter(s.cfg.gpus)
	child, err := start(command, environ, copies{s.log, s.masker, metrics})
	begin := time.Now()
	if err != nil {
		usage.gpus.stop()
		say("%s: %v", command[0], err)
		return outcome{ExitCode: shellCode(err), StartTime: stamp(begin), EndTime: stamp(time.Now())}
	}
	if err := writeJSON(s.path("started.json"), started{child.pid, stamp(begin), s.masker.texts(command)}, true); err != nil {
		say("started.json: %v", err)
	}
	done := s.watch(child, begin, usage, say)
	done.StartTime, done.EndTime = stamp(begin), stamp(time.Now())
	usage.sample()
	done.OOMKills, done.CPUSeconds, done.MemoryPeakBytes = usage.oomKills(), usage.cpuSeconds(), usage.peak
	done.GPUSeconds, done.GPUUnmeasured = usage.gpus.now(time.Now())
	usage.gpus.stop()
	child.clear()
	return done
}

// watch forwards signals and keeps the times until the command has ended.
func (s *supervisor) watch(child *process, begin time.Time, usage *meter, say func(string, ...any)) outcome {
	var done outcome
	var saidUsage bool
	var deadline, kill <-chan time.Time
	var killAt time.Time
	killBy := func(at time.Time) {
		if killAt.IsZero() || at.Before(killAt) {
			killAt, kill = at, time.After(time.Until(at))
		}
	}
	if s.cfg.deadline > 0 {
		deadline = time.After(time.Until(begin.Add(s.cfg.deadline)))
	}
	samples := time.NewTicker(sampleEvery)
	defer samples.Stop()
	reports := time.NewTicker(usageEvery)
	defer reports.Stop()
	for {
		select {
		case status := <-child.exited:
			done.Terminated = !s.terminatedAt.IsZero()
			if done.ExitCode = status.ExitStatus(); status.Signaled() {
				done.ExitCode, done.Signal = 128+int(status.Signal()), signalName(status.Signal())
			}
			if done.EarlyStopped && done.ExitCode != 0 {
				say("the command ended with code %d as it was asked to: a success", done.ExitCode)
				done.ExitCode = 0
			}
			return done
		case received := <-s.signals:
			s.note(received)
			if received == syscall.SIGTERM {
				killBy(s.terminatedAt.Add(max(s.cfg.grace-s.cfg.upload, 0)))
			}
			child.signal(received.(syscall.Signal))
		case <-deadline:
			done.DeadlineExceeded = true
			say("the deadline of %s is over: ending the command", s.cfg.deadline)
			child.signal(syscall.SIGTERM)
			killBy(time.Now().Add(deadlineGrace))
		case <-kill:
			say("the command did not end when asked to: killing it")
			child.signal(syscall.SIGKILL)
		case <-samples.C:
			usage.sample()
			if done.EarlyStopped || done.DeadlineExceeded || !s.terminatedAt.IsZero() {
				continue
			}
			if order := readStop(s.path("stop.json")); order != nil {
				done.EarlyStopped = true
				say("stopping early: %s", order.Message)
				child.signal(syscall.SIGTERM)
				killBy(time.Now().Add(s.cfg.grace))
			}
		case <-reports.C:
			if err := writeJSON(s.path("usage.json"), usage.used(), false); err != nil && !saidUsage {
				saidUsage = true
				say("usage.json: %v", err)
			}
		}
	}
}

// note remembers when the pod's deletion began.
func (s *supervisor) note(received os.Signal) {
	if received == syscall.SIGTERM && s.terminatedAt.IsZero() {
		s.terminatedAt = time.Now()
	}
}

// poll asks every 100 ms and takes signals meanwhile, until the answer is yes or the limit, which a signal may bring
// nearer, is past.
func (s *supervisor) poll(limit func() time.Time, check func() bool) bool {
	for {
		if check() {
			return true
		}
		if !time.Now().Before(limit()) {
			return false
		}
		select {
		case received := <-s.signals:
			s.note(received)
		case <-time.After(pollEvery):
		}
	}
}

func (s *supervisor) there(name string) func() bool {
	return func() bool {
		_, err := os.Stat(s.path(name))
		return err == nil
	}
}

func (s *supervisor) awaitReady() bool {
	limit := time.Now().Add(readyWait)
	return s.poll(func() time.Time {
		if s.terminatedAt.IsZero() {
			return limit
		}
		return s.terminatedAt
	}, s.there("ready"))
}

// lastMoment is when the container ends even if nobody has acknowledged.
func (s *supervisor) lastMoment() time.Time {
	if !s.terminatedAt.IsZero() {
		return s.terminatedAt.Add(s.cfg.grace - exitMargin)
	}
	return s.endedAt.Add(s.cfg.ack)
}

func (s *supervisor) awaitAck() {
	if !s.poll(s.lastMoment, s.there("ack")) {
		fmt.Fprintln(os.Stderr, "entrypoint: the sidecar did not acknowledge in time that everything is uploaded")
	}
}

// record writes done.json, again and again while the shared folder is full: the sidecar frees space as it uploads.
func (s *supervisor) record(done outcome) error {
	var err error
	s.poll(s.lastMoment, func() bool {
		err = writeJSON(s.path("done.json"), done, true)
		return err == nil
	})
	return err
}
