// Command entrypoint runs the user's command in the user's image and tells the sidecar of the same pod how it went.
//
// The sidecar and this process meet in one shared folder. The sidecar writes "ready" and "ack"; this process writes
// "started.json", "log" and, last, "done.json". README.md beside this file is the contract.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

var version = "dev" // -ldflags "-X main.version=…"

const (
	envPrefix = "MLOPS_ENTRYPOINT_"
	// exitOwn is the entrypoint's own failure, told apart from the command's codes as container runtimes do.
	exitOwn   = 125
	exitUsage = 2
)

const help = `Runs a training command and hands its outcome to the sidecar of the same pod.

usage: entrypoint -- COMMAND [ARG…]
       entrypoint --version | --help

It waits for the file "ready", starts COMMAND in a process group of its own, forwards signals to the group, copies
stdout and stderr to its own and to the file "log", writes "done.json" at the end, waits for the file "ack", and exits
with the command's code (128+n after signal n, 127 not found, 126 not executable, 125 a failure of its own).

Environment (removed from the command's):
  MLOPS_ENTRYPOINT_DIR               folder shared with the sidecar            (default /mlops/run)
  MLOPS_ENTRYPOINT_DEADLINE_SECONDS  the command's time, 0 for no deadline     (default 0)
  MLOPS_ENTRYPOINT_GRACE_SECONDS     the pod's terminationGracePeriodSeconds   (default 60)
  MLOPS_ENTRYPOINT_UPLOAD_SECONDS    what of the grace is kept for the upload  (default 40)
  MLOPS_ENTRYPOINT_ACK_SECONDS       longest wait for "ack"                    (default 3600)
  MLOPS_ENTRYPOINT_LOG_BYTES         bound of the file "log"                   (default 104857600)
  MLOPS_ENTRYPOINT_GPUS              how many GPUs the container has           (default 0)
  MLOPS_ENTRYPOINT_MASK              what to replace by *** in all that the command prints, as JSON:
                                     {"names": [variables], "folders": {folder with a Secret's keys: prefix}}
  MLOPS_ENTRYPOINT_STDOUT_METRICS    JSON list of patterns: metrics found in lines go to "stdout-metrics.jsonl"
  MLOPS_ENTRYPOINT_PACKAGES_DIR      virtual environment that the command sees (default: none)

example:
  mkdir -p /tmp/run && touch /tmp/run/ready /tmp/run/ack
  MLOPS_ENTRYPOINT_DIR=/tmp/run entrypoint -- python train.py; cat /tmp/run/done.json
`

// config is what the operator tells by environment variables.
type config struct {
	dir      string
	deadline time.Duration // 0: none
	grace    time.Duration
	upload   time.Duration
	ack      time.Duration
	logBytes int64
	gpus     int
	mask     maskOrder
	patterns []string
	packages string // "": none
}

// readConfig takes the configuration out of environ and gives the environment of the command, which has none of it.
func readConfig(environ []string) (config, []string, error) {
	cfg := config{dir: "/mlops/run", logBytes: 100 << 20}
	given := map[string]string{}
	var rest []string
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if key, ours := strings.CutPrefix(name, envPrefix); ours {
			given[key] = value
		} else {
			rest = append(rest, entry)
		}
	}
	if dir := given["DIR"]; dir != "" {
		cfg.dir = dir
	}
	var problems []error
	seconds := func(key string, fallback float64) time.Duration {
		value := fallback
		if text := given[key]; text != "" {
			var err error
			if value, err = strconv.ParseFloat(text, 64); err != nil || !(value >= 0 && value <= 1e9) {
				problems = append(problems, fmt.Errorf("%s%s=%q: give a number of seconds from 0 to 1e9", envPrefix, key, text))
			}
		}
		return time.Duration(value * float64(time.Second))
	}
	cfg.deadline = seconds("DEADLINE_SECONDS", 0)
	cfg.grace = seconds("GRACE_SECONDS", 60)
	cfg.upload = seconds("UPLOAD_SECONDS", 40)
	cfg.ack = seconds("ACK_SECONDS", 3600)
	if text := given["LOG_BYTES"]; text != "" {
		var err error
		if cfg.logBytes, err = strconv.ParseInt(text, 10, 64); err != nil || cfg.logBytes < 0 {
			problems = append(problems, fmt.Errorf("%sLOG_BYTES=%q: give a number of bytes, 0 or more", envPrefix, text))
		}
	}
	if text := given["GPUS"]; text != "" {
		var err error
		if cfg.gpus, err = strconv.Atoi(text); err != nil || cfg.gpus < 0 {
			problems = append(problems, fmt.Errorf("%sGPUS=%q: give a number, 0 or more", envPrefix, text))
		}
	}
	fromJSON := func(key string, target any) {
		if text := given[key]; text != "" {
			if err := json.Unmarshal([]byte(text), target); err != nil {
				problems = append(problems, fmt.Errorf("%s%s: %w", envPrefix, key, err))
			}
		}
	}
	fromJSON("MASK", &cfg.mask)
	fromJSON("STDOUT_METRICS", &cfg.patterns)
	cfg.packages = given["PACKAGES_DIR"]
	return cfg, rest, errors.Join(problems...)
}

func main() {
	args := os.Args[1:]
	switch {
	case len(args) == 1 && args[0] == "--version":
		fmt.Println("entrypoint", version)
	case len(args) == 1 && (args[0] == "--help" || args[0] == "-h"):
		fmt.Print(help)
	case len(args) < 2 || args[0] != "--":
		fmt.Fprint(os.Stderr, "entrypoint: no command: call it as: entrypoint -- COMMAND [ARG…] (more with --help)\n")
		os.Exit(exitUsage)
	default:
		cfg, environ, err := readConfig(os.Environ())
		if err != nil {
			os.Exit(giveUp(err))
		}
		if cfg.packages != "" {
			environ = withPackages(environ, cfg.packages)
			os.Setenv("PATH", value(environ, "PATH")) // the command itself is looked for there, too
		}
		os.Exit(newSupervisor(cfg).run(args[1:], environ))
	}
}
