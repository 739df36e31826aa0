package main

import (
	"math/rand"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// pieces gives what a stream makes of a text that comes cut in pieces.
func pieces(m *masker, text string, cuts ...int) string {
	s := stream{masker: m}
	var got strings.Builder
	from := 0
	for _, cut := range append(cuts, len(text)) {
		got.Write(s.next([]byte(text[from:cut])))
		from = cut
	}
	got.Write(s.end())
	return got.String()
}

func TestMaskForms(t *testing.T) {
	m := newMasker([]string{"s3cret&word", "line one\nline two\nx", `quo"ted-value`, "abcdef", "defghi"})
	for text, want := range map[string]string{
		"token=s3cret&word!":                    "token=***!",
		"?token=s3cret%26word":                  "?token=***",
		"czNjcmV0JndvcmQ=":                      "***",
		`{"a": "quo\"ted-value"}`:               `{"a": "***"}`,
		"  line two  ":                          "  ***  ",
		"line one\nline two\nx":                 "***",
		"xabcdefghix":                           "x***x",
		"s3cret&wor":                            "s3cret&wor",
		"abcde abcdef s3cret&words3cret&word x": "abcde *** ****** x",
		"":                                      "",
	} {
		if got := m.text(text); got != want {
			t.Errorf("%q became %q, not %q", text, got, want)
		}
		for cut := range len(text) {
			if got := pieces(m, text, cut); got != want {
				t.Errorf("%q cut at %d became %q", text, cut, got)
			}
		}
	}
}

func TestMaskDoesNotDependOnHowATextIsCut(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	word := func(length int) string {
		letters := make([]byte, length)
		for i := range letters {
			letters[i] = "ab\n"[random.Intn(3)]
		}
		return string(letters)
	}
	for range 2000 {
		m := newMasker([]string{word(6), word(7), word(9)})
		text := word(60)
		cuts := []int{random.Intn(61), random.Intn(61), random.Intn(61)}
		slices.Sort(cuts)
		if whole, cut := m.text(text), pieces(m, text, cuts...); m != nil && whole != cut {
			t.Fatalf("%q cut at %v: %q, whole: %q", text, cuts, cut, whole)
		}
	}
}

func TestNothingToMask(t *testing.T) {
	m := newMasker([]string{"", "short", " \n "})
	if m != nil || m.text("short") != "short" || pieces(m, "short", 2) != "short" || m.file("/nonexistent") != nil || len(m.texts(nil)) != 0 {
		t.Fatal(m)
	}
}

func TestSecretsOfAFolder(t *testing.T) {
	folder := t.TempDir()
	for name, content := range map[string]string{"KEY": "value-of-key\n", "TINY": "x", "..data": "not-a-key"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	order := maskOrder{Names: []string{"TOKEN", "ABSENT"}, Folders: map[string]string{folder: "A_"}}
	values, short, err := order.secrets([]string{"TOKEN=the-token", "A_KEY=older-value", "OTHER=unrelated"})
	slices.Sort(values)
	if err != nil || !slices.Equal(values, []string{"older-value", "the-token", "value-of-key"}) || !slices.Equal(short, []string{"A_TINY"}) {
		t.Fatalf("%q %q %v", values, short, err)
	}
	if _, _, err := (maskOrder{Folders: map[string]string{"/nonexistent": ""}}).secrets(nil); err == nil {
		t.Fatal("a folder that cannot be read is an error")
	}
}

func TestMaskOfAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "message")
	if err := os.WriteFile(path, []byte("failed with s3cret-word"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := newMasker([]string{"s3cret-word"}).file(path); err != nil {
		t.Fatal(err)
	}
	if content, _ := os.ReadFile(path); string(content) != "failed with ***" {
		t.Fatalf("%s", content)
	}
}

func TestSecretsAppearNowhere(t *testing.T) {
	s := prepare(t, "TOKEN=very-s3cret", "PIN=1234", `MLOPS_ENTRYPOINT_MASK={"names": ["TOKEN", "PIN"]}`)
	s.start("sh", "-c", `printf 'a very-s3'; printf 'cret\n'; printf 'b very-s3cret' >&2; exit 1`)
	found, code := s.acknowledged()
	everything := s.stdout.String() + s.stderr.String() + s.read("log") + s.read("done.json") + s.read("started.json")
	if code != 1 || strings.Contains(everything, "s3cret") {
		t.Fatalf("exit %d: %s", code, everything)
	}
	// Each stream by itself: in the log the two may meet within a line.
	if s.stdout.String() != "a ***\n" || !strings.Contains(s.stderr.String(), "b ***") {
		t.Fatalf("%q, %q", s.stdout.String(), s.stderr.String())
	}
	for _, kept := range []string{s.read("log"), found.LogTail} {
		if strings.Count(kept, "***") != 2 {
			t.Fatalf("%q", kept)
		}
	}
	if len(found.Warnings) != 1 || !strings.HasSuffix(found.Warnings[0], ": PIN") {
		t.Fatalf("%q", found.Warnings)
	}
}

func TestSecretInTheCommandThatCannotStart(t *testing.T) {
	s := prepare(t, "TOKEN=very-s3cret", `MLOPS_ENTRYPOINT_MASK={"names": ["TOKEN"]}`)
	found, code := s.start("./very-s3cret").acknowledged()
	if everything := s.stderr.String() + s.read("log") + s.read("done.json"); code != 127 || strings.Contains(everything, "s3cret") || !strings.Contains(found.LogTail, "***") {
		t.Fatalf("exit %d: %s", code, everything)
	}
}

func TestUnreadableSecretsStartNothing(t *testing.T) {
	s := prepare(t, `MLOPS_ENTRYPOINT_MASK={"folders": {"/nonexistent": ""}}`).start("touch", "ran")
	if code := s.exit(); code != exitOwn || !strings.Contains(s.stderr.String(), "/nonexistent") {
		t.Fatalf("exit %d, %q", code, s.stderr.String())
	}
	if _, err := os.Stat(filepath.Join(s.dir, "ran")); err == nil {
		t.Fatal("the command ran")
	}
}
