package main

import (
	"bufio"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const gpuProgram = "nvidia-smi"

// gpuMeter adds up for how long the GPUs of the container were busy, as nvidia-smi tells it.
type gpuMeter struct {
	mu         sync.Mutex
	devices    map[string]gpuSample
	seconds    float64
	unmeasured string // why nothing is known; empty: it is
	kill       func()
}

type gpuSample struct {
	at          time.Time
	utilization float64 // 0 to 1
}

// newGPUMeter gives nil where the command was given no GPU.
func newGPUMeter(gpus int) *gpuMeter {
	if gpus == 0 {
		return nil
	}
	meter := &gpuMeter{devices: map[string]gpuSample{}, unmeasured: gpuProgram + " has not told anything yet", kill: func() {}}
	program, err := exec.LookPath(gpuProgram)
	if err != nil {
		meter.unmeasured = "the image has no " + gpuProgram
		return meter
	}
	every := strconv.Itoa(int(usageEvery.Seconds()))
	command := exec.Command(program, "--query-gpu=index,utilization.gpu", "--format=csv,noheader,nounits", "-l", every)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	output, err := command.StdoutPipe()
	if err == nil {
		err = command.Start() // whoever reaps every child takes it, too
	}
	if err != nil {
		meter.unmeasured = fmt.Sprintf("%s: %v", gpuProgram, err)
		return meter
	}
	meter.kill = func() { _ = command.Process.Kill() }
	begin := time.Now()
	go func() {
		for lines := bufio.NewScanner(output); lines.Scan(); {
			meter.take(lines.Text(), begin, time.Now())
		}
	}()
	return meter
}

// take adds a line "index, percent".
func (m *gpuMeter) take(line string, begin, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	index, text, _ := strings.Cut(line, ",")
	percent, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil {
		if len(m.devices) == 0 {
			m.unmeasured = fmt.Sprintf("%s: %.200s", gpuProgram, line)
		}
		return
	}
	last, known := m.devices[index]
	if !known {
		last.at = begin
	}
	m.devices[index] = gpuSample{now, percent / 100}
	m.seconds += percent / 100 * now.Sub(last.at).Seconds()
	m.unmeasured = ""
}

// now gives the seconds until now; nil and the reason where they are not known.
func (m *gpuMeter) now(at time.Time) (*float64, string) {
	if m == nil {
		return nil, ""
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.unmeasured != "" {
		return nil, m.unmeasured
	}
	total := m.seconds
	for _, sample := range m.devices {
		total += sample.utilization * at.Sub(sample.at).Seconds()
	}
	return &total, ""
}

func (m *gpuMeter) stop() {
	if m != nil {
		m.kill()
	}
}
