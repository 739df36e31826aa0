package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const timeFormat = "2006-01-02T15:04:05.000Z07:00" // RFC 3339 with milliseconds

// started is the content of started.json.
type started struct {
	PID       int      `json:"pid"`
	StartTime string   `json:"startTime"`
	Command   []string `json:"command"`
}

// outcome is the content of done.json; null stands for "did not happen" or "was not measured".
type outcome struct {
	ExitCode         int      `json:"exitCode"`
	Signal           *string  `json:"signal"`
	StartTime        string   `json:"startTime"`
	EndTime          string   `json:"endTime"`
	DeadlineExceeded bool     `json:"deadlineExceeded"`
	Terminated       bool     `json:"terminated"`
	EarlyStopped     bool     `json:"earlyStopped"`
	OOMKills         int64    `json:"oomKills"`
	CPUSeconds       *float64 `json:"cpuSeconds"`
	MemoryPeakBytes  *int64   `json:"memoryPeakBytes"`
	GPUSeconds       *float64 `json:"gpuSeconds"`
	GPUUnmeasured    string   `json:"gpuUnmeasured"`
	LogTail          string   `json:"logTail"`
	Warnings         []string `json:"warnings"`
}

// used is the content of usage.json, while the command runs.
type used struct {
	CPUSeconds      *float64 `json:"cpuSeconds"`
	MemoryBytes     *int64   `json:"memoryBytes"`
	MemoryPeakBytes *int64   `json:"memoryPeakBytes"`
	GPUSeconds      *float64 `json:"gpuSeconds"`
	GPUUnmeasured   string   `json:"gpuUnmeasured"`
}

func stamp(t time.Time) string { return t.UTC().Format(timeFormat) }

// writeJSON makes the file appear whole or not at all: a reader never sees half of it. With lasting, it outlives a
// crash of the machine.
func writeJSON(path string, value any, lasting bool) error {
	var data bytes.Buffer
	encoder := json.NewEncoder(&data)
	encoder.SetEscapeHTML(false) // people read the commands and the log in it
	if err := encoder.Encode(value); err != nil {
		return err
	}
	temporary := path + ".tmp"
	file, err := os.OpenFile(temporary, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(data.Bytes())
	if err == nil && lasting {
		err = file.Sync()
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil || !lasting {
		return err
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}

// readOutcome gives a done.json that an earlier start of this container left, or nil if there is none.
func readOutcome(path string) (*outcome, error) {
	data, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var found outcome
	if err := json.Unmarshal(data, &found); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &found, nil
}

// stopOrder is the content of stop.json: the sidecar asks for the command's end.
type stopOrder struct {
	Message string `json:"message"`
}

// readStop gives the sidecar's wish that the command ends, or nil if there is none.
func readStop(path string) *stopOrder {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	order := &stopOrder{}
	if err := json.Unmarshal(data, order); err != nil {
		return nil // never half written: somebody else's
	}
	return order
}

// withVariables adds what environment.json holds to the command's environment; what stands there wins.
func withVariables(environ []string, path string) ([]string, error) {
	data, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return environ, nil
	}
	if err != nil {
		return nil, err
	}
	variables := map[string]string{}
	if err := json.Unmarshal(data, &variables); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var whole []string
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		if _, replaced := variables[name]; !replaced {
			whole = append(whole, entry)
		}
	}
	for name, value := range variables {
		whole = append(whole, name+"="+value)
	}
	return whole, nil
}

var signalNames = map[syscall.Signal]string{
	syscall.SIGHUP: "SIGHUP", syscall.SIGINT: "SIGINT", syscall.SIGQUIT: "SIGQUIT", syscall.SIGILL: "SIGILL",
	syscall.SIGTRAP: "SIGTRAP", syscall.SIGABRT: "SIGABRT", syscall.SIGBUS: "SIGBUS", syscall.SIGFPE: "SIGFPE",
	syscall.SIGKILL: "SIGKILL", syscall.SIGUSR1: "SIGUSR1", syscall.SIGSEGV: "SIGSEGV", syscall.SIGUSR2: "SIGUSR2",
	syscall.SIGPIPE: "SIGPIPE", syscall.SIGALRM: "SIGALRM", syscall.SIGTERM: "SIGTERM", syscall.SIGXCPU: "SIGXCPU",
	syscall.SIGXFSZ: "SIGXFSZ", syscall.SIGSYS: "SIGSYS",
}

func signalName(number syscall.Signal) *string {
	name, known := signalNames[number]
	if !known {
		name = "SIG" + strconv.Itoa(int(number))
	}
	return &name
}
