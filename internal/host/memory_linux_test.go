package host

import (
	"testing"
	"testing/fstest"
)

func TestMemoryIn(t *testing.T) {
	const (
		mib     = 1 << 20
		meminfo = "MemTotal:       8388608 kB\nMemFree:         102400 kB\nMemAvailable:    4194304 kB\nCached: 204800 kB\nHugePages_Total:       0\n"
	)
	machine := Memory{8192 * mib, 4096 * mib}
	tests := []struct {
		name  string
		files map[string]string
		want  Memory
	}{
		{"no control groups", nil, machine},
		{"an old kernel", map[string]string{"proc/meminfo": "MemTotal: 2048 kB\nMemFree: 512 kB\nCached: 256 kB\n"}, Memory{2 * mib, 768 << 10}},
		{"version 2 without a limit", map[string]string{
			"proc/self/cgroup":                       "0::/user.slice/me\n",
			"sys/fs/cgroup/user.slice/me/memory.max": "max\n", "sys/fs/cgroup/user.slice/me/memory.current": "1048576\n",
		}, machine},
		{"version 2, the limit in the group above", map[string]string{
			"proc/self/cgroup":                           "0::/user.slice/me\n",
			"sys/fs/cgroup/user.slice/me/memory.max":     "max\n",
			"sys/fs/cgroup/user.slice/memory.max":        "1073741824\n",
			"sys/fs/cgroup/user.slice/memory.current":    "536870912\n",
			"sys/fs/cgroup/user.slice/memory.stat":       "anon 4096\nfile 8192\ninactive_file 104857600\n",
			"sys/fs/cgroup/user.slice/other/memory.max":  "1\n",
			"sys/fs/cgroup/memory.unknown/memory.events": "low 0\n",
		}, Memory{1024 * mib, 612 * mib}},
		{"version 2, throttled before the limit", map[string]string{
			"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "2147483648\n", "sys/fs/cgroup/memory.high": "1073741824\n",
			"sys/fs/cgroup/memory.current": "1048576\n",
		}, Memory{1024 * mib, 1023 * mib}},
		{"version 2, above its limit", map[string]string{
			"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "1048576\n", "sys/fs/cgroup/memory.current": "2097152\n",
		}, Memory{mib, 0}},
		{"version 1, in a container that does not see its path", map[string]string{
			"proc/self/cgroup":                                         "12:cpu,cpuacct:/docker/7\n5:memory:/docker/7\n1:name=systemd:/docker/7\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":               "1073741824\n",
			"sys/fs/cgroup/memory/memory.usage_in_bytes":               "209715200\n",
			"sys/fs/cgroup/memory/memory.stat":                         "inactive_file 1\ntotal_inactive_file 104857600\n",
			"sys/fs/cgroup/cpu,cpuacct/docker/7/memory.limit_in_bytes": "1\n",
		}, Memory{1024 * mib, 924 * mib}},
		{"version 1 without a limit", map[string]string{
			"proc/self/cgroup":                           "5:memory:/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n", "sys/fs/cgroup/memory/memory.usage_in_bytes": "1048576\n",
		}, machine},
		{"nonsense", map[string]string{
			"proc/self/cgroup": "\n0\n0::../../..\n::\n", "sys/fs/cgroup/memory.max": "-5\n", "sys/fs/cgroup/memory.high": "lots\n",
		}, machine},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			root := fstest.MapFS{"proc/meminfo": {Data: []byte(meminfo)}}
			for name, content := range test.files {
				root[name] = &fstest.MapFile{Data: []byte(content)}
			}
			if got, ok := memoryIn(root); !ok || got != test.want {
				t.Errorf("%+v, %v, want %+v", got, ok, test.want)
			}
		})
	}
	if _, ok := memoryIn(fstest.MapFS{}); ok {
		t.Error("a machine that does not tell has memory")
	}
	if m, ok := OwnMemory(); !ok || m.Available <= 0 || m.Available > m.Total {
		t.Errorf("this machine's is %+v, %v", m, ok)
	}
}
