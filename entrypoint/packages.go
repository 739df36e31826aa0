package main

import (
	"os"
	"path/filepath"
	"strings"
)

// withPackages lets the command see a virtual environment as if it were activated. PYTHONPATH is for a command that
// brings its own interpreter, as /usr/bin/python3 or the first line of a script such as torchrun does.
func withPackages(environ []string, dir string) []string {
	environ = prepend(environ, "PATH", filepath.Join(dir, "bin"))
	libraries, _ := filepath.Glob(filepath.Join(dir, "lib", "python*", "site-packages"))
	for _, path := range libraries {
		environ = prepend(environ, "PYTHONPATH", path)
	}
	return append(without(environ, "VIRTUAL_ENV"), "VIRTUAL_ENV="+dir)
}

func value(environ []string, name string) string {
	found := ""
	for _, entry := range environ {
		if rest, ours := strings.CutPrefix(entry, name+"="); ours {
			found = rest
		}
	}
	return found
}

func without(environ []string, name string) []string {
	var rest []string
	for _, entry := range environ {
		if !strings.HasPrefix(entry, name+"=") {
			rest = append(rest, entry)
		}
	}
	return rest
}

func prepend(environ []string, name, path string) []string {
	if old := value(environ, name); old != "" {
		path += string(os.PathListSeparator) + old
	}
	return append(without(environ, name), name+"="+path)
}
