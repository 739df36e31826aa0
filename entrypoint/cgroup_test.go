package main

import (
	"os"
	"path/filepath"
	"testing"
)

// tree writes files as the kernel shows them under /sys/fs/cgroup.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

var v2 = map[string]string{
	"cpu.stat":       "usage_usec 2500000\nuser_usec 2000000\n",
	"memory.current": "1000\n",
	"memory.stat":    "anon 700\ninactive_file 300\n",
	"memory.events":  "low 0\nmax 3\noom 2\noom_kill 2\noom_group_kill 0\n",
}

func TestCgroupVersions(t *testing.T) {
	v1 := map[string]string{
		"cpuacct/cpuacct.usage":        "2500000000\n",
		"memory/memory.usage_in_bytes": "1000\n",
		"memory/memory.stat":           "inactive_file 1\ntotal_inactive_file 300\n",
		"memory/memory.oom_control":    "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
	}
	host := map[string]string{}
	for name, content := range v2 {
		host["kubepods/pod1/"+name] = content
	}
	for name, group := range map[string]cgroup{
		"v2 in a container": newCgroup(tree(t, v2), "0::/\n"),
		"v2 with its path":  newCgroup(tree(t, host), "0::/kubepods/pod1\n"),
		"v1 in a container": newCgroup(tree(t, v1), "9:memory:/kubepods/pod1\n4:cpu,cpuacct:/kubepods/pod1\n0::/\n"),
	} {
		found := group.now()
		if found.cpuSeconds == nil || *found.cpuSeconds != 2.5 || found.memory == nil || *found.memory != 700 || found.oomKills == nil || *found.oomKills != 2 {
			t.Errorf("%s: %+v", name, found)
		}
	}
}

func TestUnmeasuredIsNull(t *testing.T) {
	m := &meter{group: newCgroup(t.TempDir(), "")}
	m.first = m.group.now()
	m.sample()
	if m.cpuSeconds() != nil || m.peak != nil || m.oomKills() != 0 {
		t.Fatalf("%+v", m)
	}
}

func TestMeterCountsFromItsStart(t *testing.T) {
	root := tree(t, v2)
	m := &meter{group: newCgroup(root, "0::/")}
	m.first = m.group.now()
	for name, content := range map[string]string{
		"cpu.stat": "usage_usec 4000000\n", "memory.current": "5000\n", "memory.events": "oom_kill 3\n",
	} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	m.sample()
	if err := os.WriteFile(filepath.Join(root, "memory.current"), []byte("2000\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	m.sample()
	if *m.cpuSeconds() != 1.5 || *m.peak != 4700 || m.oomKills() != 1 {
		t.Fatalf("%v %v %v", *m.cpuSeconds(), *m.peak, m.oomKills())
	}
}
