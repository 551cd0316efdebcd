package cpu

import "testing"

func TestPaths(t *testing.T) {
	for _, want := range pathNames[:bestPath()+1] {
		t.Setenv(pathVariable, want)
		d, err := New(1)
		if err != nil {
			t.Errorf("%s: %v", want, err)
			continue
		}
		if got := d.Path(); got != want {
			t.Errorf("%s=%s gives path %s", pathVariable, want, got)
		}
		d.Close()
	}
	for _, wrong := range []string{"AVX2", "sse", " "} {
		t.Setenv(pathVariable, wrong)
		if d, err := New(1); err == nil {
			t.Errorf("%s=%q is accepted as %s", pathVariable, wrong, d.Path())
		}
	}
	t.Setenv(pathVariable, "")
	if _, err := New(-1); err == nil {
		t.Error("a device with -1 threads is made")
	}
}
