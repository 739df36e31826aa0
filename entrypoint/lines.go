package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"sync"
)

const (
	metricsFile    = "stdout-metrics.jsonl"
	maxLineBytes   = 64 << 10
	maxLineMatches = 1000
)

// lineMetrics finds metrics in the lines that the command prints, and writes them as JSON lines for the sidecar.
//
// Patterns are RE2's, so a line costs time in proportion to its length whatever the pattern. A pattern names its parts:
// "name" and "value" together, or one group for each metric, called as the metric; and "step".
type lineMetrics struct {
	mu       sync.Mutex
	patterns []*regexp.Regexp
	file     *os.File
	left     int64 // bytes that the file may still take
	say      func(string, ...any)
	said     map[string]bool
}

// newLineMetrics gives nil where there are no patterns.
func newLineMetrics(path string, patterns []string, bound int64, say func(string, ...any)) (*lineMetrics, error) {
	if len(patterns) == 0 {
		return nil, nil
	}
	found := &lineMetrics{left: bound, say: say, said: map[string]bool{}}
	for _, pattern := range patterns {
		compiled, err := regexp.Compile(pattern)
		if err != nil {
			return nil, err
		}
		found.patterns = append(found.patterns, compiled)
	}
	var err error
	found.file, err = os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	return found, err
}

// line takes one line without its end.
func (l *lineMetrics) line(text []byte) {
	var record bytes.Buffer
	for _, pattern := range l.patterns {
		l.match(pattern, text, &record)
	}
	if record.Len() == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left -= int64(record.Len()); l.left < 0 {
		l.once("full", "there are more metrics than the file takes: those from here on are left out")
		return
	}
	if _, err := l.file.Write(record.Bytes()); err != nil {
		l.left = 0
		l.once("full", fmt.Sprintf("metrics are left out from here on: %v", err))
	}
}

// match appends a JSON object for each pattern that finds metrics in the line.
func (l *lineMetrics) match(pattern *regexp.Regexp, text []byte, record *bytes.Buffer) {
	names := pattern.SubexpNames()
	name, value, step := slices.Index(names, "name"), slices.Index(names, "value"), slices.Index(names, "step")
	pairs := name > 0 && value > 0
	members, at := "", ""
	for _, groups := range pattern.FindAllSubmatch(text, maxLineMatches) {
		if step > 0 && groups[step] != nil {
			if number, err := strconv.ParseInt(string(groups[step]), 10, 64); err == nil {
				at = fmt.Sprintf(`,"step":%d`, number)
			}
		}
		if pairs {
			members += l.member(string(groups[name]), groups[value])
			continue
		}
		for index, group := range names {
			if group != "" && index != step {
				members += l.member(group, groups[index])
			}
		}
	}
	if members != "" {
		fmt.Fprintf(record, "{%s%s}\n", members[1:], at)
	}
}

// member gives `,"name":value`; nothing where the group did not take part or is no number.
func (l *lineMetrics) member(name string, text []byte) string {
	if text == nil || name == "" || name == "step" {
		return ""
	}
	value, err := strconv.ParseFloat(string(text), 64)
	if err != nil && !math.IsInf(value, 0) { // out of range is infinite
		l.mu.Lock()
		defer l.mu.Unlock()
		l.once("number", fmt.Sprintf("a metric in the output is left out, as it is no number: %.40q", text))
		return ""
	}
	key, _ := json.Marshal(name)
	return "," + string(key) + ":" + number(value)
}

// number writes a float as the sidecar reads it: JSON has no word for NaN, Python's dialect has.
func number(value float64) string {
	switch {
	case math.IsNaN(value):
		return "NaN"
	case math.IsInf(value, 1):
		return "Infinity"
	case math.IsInf(value, -1):
		return "-Infinity"
	}
	return strconv.FormatFloat(value, 'g', -1, 64)
}

// once says one sentence on each subject.
func (l *lineMetrics) once(subject, sentence string) {
	if !l.said[subject] {
		l.said[subject] = true
		l.say("%s", sentence)
	}
}

// splitter cuts a stream into lines, which end with \n or, as progress bars do, with \r.
type splitter struct {
	to   *lineMetrics
	line []byte
	skip bool // the line is too long: up to its end
}

func (s *splitter) next(piece []byte) {
	if s.to == nil {
		return
	}
	for len(piece) > 0 {
		end := bytes.IndexAny(piece, "\r\n")
		if end < 0 {
			s.add(piece)
			return
		}
		s.add(piece[:end])
		s.end()
		piece = piece[end+1:]
	}
}

func (s *splitter) add(part []byte) {
	if s.skip = s.skip || len(s.line)+len(part) > maxLineBytes; s.skip {
		s.line = s.line[:0]
		return
	}
	s.line = append(s.line, part...)
}

func (s *splitter) end() {
	if s.to != nil && !s.skip && len(s.line) > 0 {
		s.to.line(s.line)
	}
	s.line, s.skip = s.line[:0], false
}
