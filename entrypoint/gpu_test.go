package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestGPUSeconds(t *testing.T) {
	begin := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	m := &gpuMeter{devices: map[string]gpuSample{}, unmeasured: "nothing yet"}
	m.take("Failed to initialize NVML", begin, begin)
	if seconds, why := m.now(begin); seconds != nil || !strings.Contains(why, "NVML") {
		t.Fatal(seconds, why)
	}
	m.take("0, 50", begin, begin.Add(10*time.Second))
	m.take("1, 100", begin, begin.Add(10*time.Second))
	m.take("0, 100", begin, begin.Add(20*time.Second))
	m.take("1, [N/A]", begin, begin.Add(20*time.Second))
	// 0: 5 + 10 + 5 until now; 1: 10 + 15
	if seconds, why := m.now(begin.Add(25 * time.Second)); seconds == nil || *seconds != 45 || why != "" {
		t.Fatal(*seconds, why)
	}
}

func TestGPUsOfAContainer(t *testing.T) {
	bin := t.TempDir()
	script := "#!/bin/sh\nwhile :; do echo '0, 100'; echo '1, 50'; sleep 0.1; done\n"
	if err := os.WriteFile(filepath.Join(bin, gpuProgram), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	s := prepare(t, "PATH="+bin+":"+os.Getenv("PATH"), "MLOPS_ENTRYPOINT_GPUS=2")
	s.start("sh", "-c", "while [ ! -e usage.json ]; do sleep 0.05; done")
	outcome, _ := s.acknowledged()
	if outcome.GPUSeconds == nil || *outcome.GPUSeconds <= 0 || outcome.GPUUnmeasured != "" {
		t.Fatalf("%+v", outcome)
	}
	var live used
	if err := json.Unmarshal([]byte(s.read("usage.json")), &live); err != nil || live.GPUSeconds == nil {
		t.Fatalf("%v %s", err, s.read("usage.json"))
	}
}

func TestUnmeasuredGPUIsSaid(t *testing.T) {
	s := prepare(t, "PATH=/nonexistent", "MLOPS_ENTRYPOINT_GPUS=1").start("/bin/true")
	outcome, _ := s.acknowledged()
	if outcome.GPUSeconds != nil || !strings.Contains(outcome.GPUUnmeasured, gpuProgram) {
		t.Fatalf("%+v", outcome)
	}
}
