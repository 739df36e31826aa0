package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

const (
	// minMasked is the length, in bytes, of the shortest value that is masked: shorter ones are part of ordinary words.
	minMasked = 6
	masked    = "***"
)

// maskOrder is MLOPS_ENTRYPOINT_MASK: which variables hold secret values.
type maskOrder struct {
	Names []string `json:"names"`
	// Folders holds Secrets as files, with what is put before their keys to name the variables.
	Folders map[string]string `json:"folders"`
}

// secrets gives the values to mask, and the names of those that are too short.
func (o maskOrder) secrets(environ []string) (values, short []string, err error) {
	given := map[string]string{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		given[name] = value
	}
	add := func(name, value string) {
		if value = strings.TrimSpace(value); len(value) >= minMasked {
			values = append(values, value)
		} else if value != "" {
			short = append(short, name)
		}
	}
	for _, name := range o.Names {
		add(name, given[name])
	}
	for folder, prefix := range o.Folders {
		entries, err := os.ReadDir(folder)
		if err != nil {
			return nil, nil, err
		}
		for _, entry := range entries {
			if strings.HasPrefix(entry.Name(), "..") {
				continue // the kubelet's own, which the keys are links into
			}
			content, err := os.ReadFile(filepath.Join(folder, entry.Name()))
			if err != nil {
				return nil, nil, err
			}
			add(prefix+entry.Name(), string(content))
			// The Secret may have changed between the making of the variables and of the folder.
			if value := given[prefix+entry.Name()]; strings.TrimSpace(value) != strings.TrimSpace(string(content)) {
				add(prefix+entry.Name(), value)
			}
		}
	}
	sort.Strings(short)
	return values, short, nil
}

// masker finds secret values in texts, in the forms that programs print them in.
type masker struct {
	byStart map[[minMasked]byte][][]byte // longest first
	first   [256]bool
}

// newMasker gives nil where there is nothing to mask.
func newMasker(values []string) *masker {
	found := map[string]bool{}
	for _, value := range values {
		if value = strings.TrimSpace(value); len(value) < minMasked {
			continue
		}
		forms := append(strings.FieldsFunc(value, func(r rune) bool { return r == '\n' || r == '\r' }),
			value, url.QueryEscape(value), url.PathEscape(value), base64.StdEncoding.EncodeToString([]byte(value)))
		if text, err := json.Marshal(value); err == nil {
			forms = append(forms, string(text[1:len(text)-1]))
		}
		for _, form := range forms {
			if form = strings.TrimSpace(form); len(form) >= minMasked {
				found[form] = true
			}
		}
	}
	if len(found) == 0 {
		return nil
	}
	m := &masker{byStart: map[[minMasked]byte][][]byte{}}
	for form := range found {
		start := [minMasked]byte([]byte(form))
		m.byStart[start] = append(m.byStart[start], []byte(form))
		m.first[form[0]] = true
	}
	for _, forms := range m.byStart {
		sort.Slice(forms, func(i, j int) bool { return len(forms[i]) > len(forms[j]) })
	}
	return m
}

// at gives the length of the longest value that begins data, and whether more data could make a longer one.
func (m *masker) at(data []byte) (length int, open bool) {
	if !m.first[data[0]] {
		return 0, false
	}
	if len(data) < minMasked {
		for start := range m.byStart {
			if bytes.HasPrefix(start[:], data) {
				return 0, true
			}
		}
		return 0, false
	}
	for _, form := range m.byStart[[minMasked]byte(data)] {
		if bytes.HasPrefix(data, form) {
			return len(form), open
		}
		open = open || bytes.HasPrefix(form, data)
	}
	return 0, open
}

// mask gives data without secret values, and its end that may be the beginning of one. With last, nothing is left over.
func (m *masker) mask(data []byte, last bool) (clean, rest []byte) {
	for i := 0; i < len(data); {
		length, open := m.at(data[i:])
		end := i + length
		for j := i + 1; j < end && !open; j++ { // values may overlap
			var next int
			if next, open = m.at(data[j:]); j+next > end {
				end = j + next
			}
		}
		if open && !last {
			return clean, data[i:]
		}
		if end > i {
			clean, i = append(clean, masked...), end
		} else {
			clean, i = append(clean, data[i]), i+1
		}
	}
	return clean, nil
}

// text masks a text that is whole. A nil masker changes nothing.
func (m *masker) text(text string) string {
	if m == nil {
		return text
	}
	clean, _ := m.mask([]byte(text), true)
	return string(clean)
}

// texts masks each of some texts; it is never nil.
func (m *masker) texts(texts []string) []string {
	clean := []string{}
	for _, text := range texts {
		clean = append(clean, m.text(text))
	}
	return clean
}

// file masks what a program left in a file, such as its termination message; one that is not there is fine.
func (m *masker) file(path string) error {
	if m == nil {
		return nil
	}
	content, err := os.ReadFile(path)
	if err != nil || len(content) == 0 {
		return nil
	}
	if clean, _ := m.mask(content, true); !bytes.Equal(clean, content) {
		return os.WriteFile(path, clean, 0o644)
	}
	return nil
}

// stream masks a text that comes in pieces: it keeps back what may be the beginning of a value until the next piece.
type stream struct {
	masker *masker
	held   []byte
}

func (s *stream) next(piece []byte) []byte {
	if s.masker == nil {
		return piece
	}
	clean, rest := s.masker.mask(append(s.held, piece...), false)
	s.held = bytes.Clone(rest)
	return clean
}

func (s *stream) end() []byte {
	if s.masker == nil {
		return nil
	}
	clean, _ := s.masker.mask(s.held, true)
	s.held = nil
	return clean
}
