package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const prSetChildSubreaper = 36 // PR_SET_CHILD_SUBREAPER of prctl(2)

// process is the command, in a process group of its own.
type process struct {
	pid    int
	exited chan syscall.WaitStatus
	pipes  []*os.File
	copies sync.WaitGroup
}

// start runs the command with its stdout and stderr going to ours and to the copies. It forks directly rather than with
// os/exec, as that waits for its own child alone: whoever reaps every orphan, as process 1 must, would race with it.
func start(command, environ []string, out copies) (*process, error) {
	program, err := exec.LookPath(command[0])
	if err != nil && !errors.Is(err, exec.ErrDot) { // a dot in PATH is the user's choice
		return nil, err
	}
	children := make(chan os.Signal, 1) // before the fork, so that no end is missed; one pending is as good as many
	signal.Notify(children, syscall.SIGCHLD)
	// Orphans come to process 1; elsewhere (shared process namespace) only after asking for them.
	if _, _, failed := syscall.RawSyscall(syscall.SYS_PRCTL, prSetChildSubreaper, 1, 0); failed != 0 {
		fmt.Fprintf(os.Stderr, "entrypoint: orphaned processes will not be reaped: %v\n", failed)
	}
	child := &process{exited: make(chan syscall.WaitStatus, 1)}
	var ends []*os.File // the command's
	defer func() {
		for _, end := range ends {
			end.Close()
		}
	}()
	for _, stream := range []*os.File{os.Stdout, os.Stderr} {
		from, to, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		ends, child.pipes = append(ends, to), append(child.pipes, from)
		child.copies.Add(1)
		go func() {
			defer child.copies.Done()
			out.tee(from, stream)
		}()
	}
	child.pid, err = syscall.ForkExec(program, command, &syscall.ProcAttr{
		Env:   environ,
		Files: []uintptr{0, ends[0].Fd(), ends[1].Fd()},
		Sys:   &syscall.SysProcAttr{Setpgid: true},
	})
	if err != nil {
		return nil, err
	}
	go child.reap(children)
	return child, nil
}

// copies is where what the command prints goes, beside the container's own streams.
type copies struct {
	log     io.Writer
	masker  *masker
	metrics *lineMetrics
}

// tee goes on when a target fails: a command must never block or die because nobody reads it.
func (c copies) tee(from io.Reader, to io.Writer) {
	buffer := make([]byte, 32<<10)
	text, lines := stream{masker: c.masker}, splitter{to: c.metrics}
	put := func(piece []byte) {
		_, _ = to.Write(piece)
		_, _ = c.log.Write(piece)
		lines.next(piece)
	}
	for {
		count, err := from.Read(buffer)
		put(text.next(buffer[:count]))
		if err != nil {
			put(text.end())
			lines.end()
			return
		}
	}
}

// reap takes every ended child, our own and the orphans, for as long as this process lives.
func (p *process) reap(children <-chan os.Signal) {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case pid == p.pid:
			p.exited <- status
		case pid <= 0:
			<-children
		}
	}
}

// signal reaches the whole group; a group that is gone already is no error.
func (p *process) signal(number syscall.Signal) {
	if err := syscall.Kill(-p.pid, number); err != nil && !errors.Is(err, syscall.ESRCH) {
		fmt.Fprintf(os.Stderr, "entrypoint: %v to the command: %v\n", number, err)
	}
}

// clear kills what the command left behind, in its group or escaped from it, so that nothing writes into the output
// while it is uploaded, and lets the last lines through.
func (p *process) clear() {
	limit := time.Now().Add(drainWait)
	p.signal(syscall.SIGKILL)
	for left := children(os.Getpid()); len(left) > 0 && time.Now().Before(limit); left = children(os.Getpid()) {
		for _, pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL) // its own children come to us next
		}
		time.Sleep(5 * time.Millisecond)
	}
	drained := make(chan struct{})
	go func() {
		p.copies.Wait()
		close(drained)
	}()
	select {
	case <-drained:
	case <-time.After(time.Until(limit)):
		fmt.Fprintln(os.Stderr, "entrypoint: a process of the command still holds its output open: going on without it")
	}
}

// children gives the processes of a parent.
func children(parent int) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var found []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + entry.Name() + "/stat")
		if err != nil {
			continue // ended meanwhile
		}
		// "pid (name) state ppid …", where the name may hold anything
		_, rest, _ := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')')+1:]), " ")
		if fields := strings.Fields(rest); len(fields) > 1 && fields[1] == strconv.Itoa(parent) {
			found = append(found, pid)
		}
	}
	return found
}

// shellCode is what a shell exits with when it cannot start a command.
func shellCode(err error) int {
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
		return 127
	}
	return 126
}
