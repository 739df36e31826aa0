package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// usage is read from the container's cgroup; nil is "cannot be measured here".
type usage struct {
	cpuSeconds *float64
	memory     *int64 // what is in use without the page cache that can be dropped: what "kubectl top" shows
	oomKills   *int64
}

// cgroup finds the files of this process's cgroup, version 1 or 2.
type cgroup struct {
	root  string            // /sys/fs/cgroup
	paths map[string]string // controller ("" in version 2) to path below its mount
}

// newCgroup reads the content of /proc/self/cgroup: lines of "id:controllers:path".
func newCgroup(root, membership string) cgroup {
	found := cgroup{root: root, paths: map[string]string{}}
	for _, line := range strings.Split(membership, "\n") {
		if fields := strings.SplitN(line, ":", 3); len(fields) == 3 {
			for _, controller := range strings.Split(fields[1], ",") {
				found.paths[controller] = fields[2]
			}
		}
	}
	return found
}

// read gives a file of a controller. In a container the mount is the container's own cgroup, whatever path
// /proc/self/cgroup tells (version 1 tells the host's), so the mount itself is the second place.
func (c cgroup) read(controller, name string) (string, bool) {
	for _, path := range []string{c.paths[controller], ""} {
		if data, err := os.ReadFile(filepath.Join(c.root, controller, path, name)); err == nil {
			return strings.TrimSpace(string(data)), true
		}
	}
	return "", false
}

func (c cgroup) number(controller, name string) *int64 {
	text, _ := c.read(controller, name)
	if value, err := strconv.ParseInt(text, 10, 64); err == nil {
		return &value
	}
	return nil
}

// field gives one value of a file with lines "name value".
func (c cgroup) field(controller, name, key string) *int64 {
	text, _ := c.read(controller, name)
	for _, line := range strings.Split(text, "\n") {
		if value, found := strings.CutPrefix(line, key+" "); found {
			if number, err := strconv.ParseInt(value, 10, 64); err == nil {
				return &number
			}
		}
	}
	return nil
}

// now samples; a version that has no such file leaves the field nil.
func (c cgroup) now() usage {
	var found usage
	if micros := c.field("", "cpu.stat", "usage_usec"); micros != nil {
		value := float64(*micros) / 1e6
		found.cpuSeconds = &value
	} else if nanos := c.number("cpuacct", "cpuacct.usage"); nanos != nil {
		value := float64(*nanos) / 1e9
		found.cpuSeconds = &value
	}
	found.memory = inUse(c.number("", "memory.current"), c.field("", "memory.stat", "inactive_file"))
	if found.memory == nil {
		found.memory = inUse(c.number("memory", "memory.usage_in_bytes"), c.field("memory", "memory.stat", "total_inactive_file"))
	}
	if found.oomKills = c.field("", "memory.events", "oom_kill"); found.oomKills == nil {
		found.oomKills = c.field("memory", "memory.oom_control", "oom_kill")
	}
	return found
}

func inUse(total, cache *int64) *int64 {
	if total == nil || cache == nil {
		return total
	}
	value := max(*total-*cache, 0)
	return &value
}

// meter turns samples into what was used since it was made.
type meter struct {
	group cgroup
	first usage
	peak  *int64
	last  usage
	gpus  *gpuMeter
}

func newMeter(gpus int) *meter {
	membership, _ := os.ReadFile("/proc/self/cgroup") // absent: the mount itself is tried
	group := newCgroup("/sys/fs/cgroup", string(membership))
	m := &meter{group: group, first: group.now(), gpus: newGPUMeter(gpus)}
	m.peak, m.last = m.first.memory, m.first
	return m
}

func (m *meter) sample() {
	m.last = m.group.now()
	if m.last.memory != nil && (m.peak == nil || *m.last.memory > *m.peak) {
		m.peak = m.last.memory
	}
}

func (m *meter) cpuSeconds() *float64 {
	if m.first.cpuSeconds == nil || m.last.cpuSeconds == nil {
		return nil
	}
	value := *m.last.cpuSeconds - *m.first.cpuSeconds
	return &value
}

// used gives what is known now, for the sidecar.
func (m *meter) used() used {
	seconds, unmeasured := m.gpus.now(time.Now())
	return used{m.cpuSeconds(), m.last.memory, m.peak, seconds, unmeasured}
}

func (m *meter) oomKills() int64 {
	if m.first.oomKills == nil || m.last.oomKills == nil {
		return 0
	}
	return *m.last.oomKills - *m.first.oomKills
}
