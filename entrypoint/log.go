package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"unicode/utf8"
)

const (
	logTailBytes  = 2048
	replacement   = "\uFFFD"
	olderTailName = "log.tail.0"
	newerTailName = "log.tail.1"
)

// boundedLog keeps the head and the newest tail of what the command prints.
//
// The first half of the bound goes to "log". What follows goes to "log.tail.1", which at a quarter of the bound becomes
// "log.tail.0" in place of the one before: in the order log, log.tail.0, log.tail.1 the files are the text, with one
// gap at most. finish makes one file of them. A disk that is full ends the copy, never the training.
type boundedLog struct {
	mu       sync.Mutex
	dir      string
	head     *os.File
	headLeft int64
	tail     *os.File
	tailSize int64 // bytes in the newer tail file
	older    int64 // bytes in the older tail file
	tailCap  int64
	total    int64 // bytes that were to be kept, beyond the head
	last     []byte
	broken   error
}

func newLog(dir string, bound int64) (*boundedLog, error) {
	head, err := os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return nil, err
	}
	return &boundedLog{dir: dir, head: head, headLeft: bound / 2, tailCap: bound / 4}, nil
}

// Write never fails: what the command prints must reach the container's own streams in any case.
func (l *boundedLog) Write(data []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = append(l.last, data...)
	if surplus := len(l.last) - logTailBytes; surplus > 0 {
		l.last = append(l.last[:0], l.last[surplus:]...)
	}
	if l.broken == nil {
		if l.broken = l.keep(data); l.broken != nil {
			fmt.Fprintf(os.Stderr, "entrypoint: the copy of the log ends here: %v\n", l.broken)
		}
	}
	return len(data), nil
}

func (l *boundedLog) keep(data []byte) error {
	part := data[:min(l.headLeft, int64(len(data)))]
	l.headLeft -= int64(len(part))
	if _, err := l.head.Write(part); err != nil {
		return err
	}
	data = data[len(part):]
	l.total += int64(len(data))
	for len(data) > 0 && l.tailCap > 0 {
		if l.tail == nil || l.tailSize == l.tailCap {
			if err := l.rotate(); err != nil {
				return err
			}
		}
		part := data[:min(l.tailCap-l.tailSize, int64(len(data)))]
		if _, err := l.tail.Write(part); err != nil {
			return err
		}
		l.tailSize += int64(len(part))
		data = data[len(part):]
	}
	return nil
}

func (l *boundedLog) rotate() error {
	newer := filepath.Join(l.dir, newerTailName)
	if l.tail != nil {
		l.tail.Close()
		if err := os.Rename(newer, filepath.Join(l.dir, olderTailName)); err != nil {
			return err
		}
	}
	l.older, l.tailSize = l.tailSize, 0
	var err error
	l.tail, err = os.OpenFile(newer, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	return err
}

// finish appends the tail to "log", with a line that says how much is missing between them.
func (l *boundedLog) finish() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.head.Close()
	if cut := l.total - l.older - l.tailSize; cut > 0 {
		if _, err := fmt.Fprintf(l.head, "\n… %d bytes cut …\n", cut); err != nil {
			return err
		}
	}
	for _, name := range []string{olderTailName, newerTailName} {
		path := filepath.Join(l.dir, name)
		file, err := os.Open(path)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return err
		}
		_, err = io.Copy(l.head, file)
		file.Close()
		if err != nil {
			return err
		}
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	if l.broken == nil {
		l.broken = os.ErrClosed // an escaped process may print on; its words come too late
	}
	return l.head.Sync()
}

// lastBytes gives the end of the log as valid UTF-8 of at most logTailBytes.
func (l *boundedLog) lastBytes() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	data := l.last
	for len(data) > 0 && len(l.last) == logTailBytes && !utf8.RuneStart(data[0]) {
		data = data[1:] // the rest of a character cut in two
	}
	text := strings.ToValidUTF8(string(data), replacement)
	for len(text) > logTailBytes {
		_, size := utf8.DecodeRuneInString(text)
		text = text[size:]
	}
	return text
}
