package weights

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/adrg/xdg"
	"github.com/google/go-cmp/cmp"
)

// content is what the servers of these tests publish: 1 MB without a pattern, so that a piece in the wrong place shows.
var content = func() []byte {
	b := make([]byte, 0, 1<<20)
	for i := 0; len(b) < 1<<20; i++ {
		h := sha256.Sum256([]byte(strconv.Itoa(i)))
		b = append(b, h[:]...)
	}
	return b
}()

// published is a catalogue entry for content on a server.
func published(url string) Entry {
	sum := sha256.Sum256(content)
	prefix := hex.EncodeToString(sum[:])[:8]
	file := "tiny-" + prefix + ".pth"
	return Entry{Arch: "tiny", Name: v1, File: file, HashPrefix: prefix, URL: url + "/models/" + file}
}

// server publishes content with ranges, and counts requests.
type server struct {
	*httptest.Server
	requests atomic.Int32
	ranges   atomic.Value // string, of the last request
	respond  http.HandlerFunc
}

func newServer(t *testing.T, respond http.HandlerFunc) *server {
	s := &server{respond: respond}
	if respond == nil {
		s.respond = func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
		}
	}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		s.ranges.Store(r.Header.Get("Range"))
		s.respond(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func newCache(t *testing.T) *Cache {
	dir := t.TempDir()
	return &Cache{Dirs: []string{filepath.Join(dir, "torch"), filepath.Join(dir, "own")}, Download: filepath.Join(dir, "own")}
}

func put(t *testing.T, dir, name string, b []byte) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func checkFetched(t *testing.T, c *Cache, e Entry, path string, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(c.Download, e.File); path != want {
		t.Errorf("path %s, want %s", path, want)
	}
	if b, err := os.ReadFile(path); err != nil || !bytes.Equal(b, content) {
		t.Errorf("the file is not what was published (%v)", err)
	}
	if _, err := os.Stat(c.part(e)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the part is still there (%v)", err)
	}
}

func TestCatalogue(t *testing.T) {
	form := regexp.MustCompile(`^[a-z0-9_]+(-owt)?-[0-9a-f]{8}\.pth$`)
	seen := map[string]bool{}
	for _, e := range catalogue {
		if !form.MatchString(e.File) || e.HashPrefix != strings.Split(e.File[:len(e.File)-4], "-")[strings.Count(e.File, "-")] {
			t.Errorf("file %q with hash %q", e.File, e.HashPrefix)
		}
		if seen[e.HashPrefix] || seen[e.Arch+e.Name] {
			t.Errorf("%s %s comes twice", e.Arch, e.Name)
		}
		seen[e.HashPrefix], seen[e.Arch+e.Name] = true, true
		if got, ok := Find(e.Arch, e.Name); !ok || got != e {
			t.Errorf("Find(%s, %s) = %+v", e.Arch, e.Name, got)
		}
		if e.URL != "https://download.pytorch.org/models/"+e.File {
			t.Errorf("address %s", e.URL)
		}
	}
	for _, tt := range []struct {
		arch, name, want string
		resize, crop     int
	}{
		{"resnet50", "IMAGENET1K_V1", "resnet50-0676ba61.pth", 256, 224},
		{"resnet50", "IMAGENET1K_V2", "resnet50-11ad3fa6.pth", 232, 224},
		{"resnet50", "DEFAULT", "resnet50-11ad3fa6.pth", 232, 224},
		{"resnet18", "DEFAULT", "resnet18-f37072fd.pth", 256, 224},
		{"inception_v3", "DEFAULT", "inception_v3_google-0cc3c7bd.pth", 342, 299},
		{"resnet18", "IMAGENET1K_V2", "", 0, 0},
		{"resnet19", "DEFAULT", "", 0, 0},
	} {
		e, ok := Find(tt.arch, tt.name)
		if ok != (tt.want != "") || e.File != tt.want || e.Preprocessing.Resize != tt.resize || e.Preprocessing.Crop != tt.crop {
			t.Errorf("Find(%s, %s) = %+v, %t", tt.arch, tt.name, e, ok)
		}
	}
	if d := cmp.Diff([]string{"IMAGENET1K_V1", "IMAGENET1K_V2"}, Names("mobilenet_v2")); d != "" {
		t.Errorf("Names (-want +got):\n%s", d)
	}
	if got := Names("resnet19"); got != nil {
		t.Errorf("Names of an unknown architecture: %q", got)
	}
}

// Inception's entry leaves out that torchvision normalises twice; both ways must give the same numbers.
func TestInceptionPreprocessing(t *testing.T) {
	e, _ := Find("inception_v3", Default)
	for c := range 3 {
		for _, x := range []float64{0, 0.25, 1} {
			mean, std := float64(imagenetMean[c]), float64(imagenetStd[c])
			// torchvision/models/inception.py: x_ch0 = x[:, 0] * (0.229 / 0.5) + (0.485 - 0.5) / 0.5
			want := (x-mean)/std*(std/0.5) + (mean-0.5)/0.5
			got := (x - float64(e.Preprocessing.Mean[c])) / float64(e.Preprocessing.Std[c])
			if diff := got - want; diff > 1e-12 || diff < -1e-12 {
				t.Errorf("channel %d, %v: %v, want %v", c, x, got, want)
			}
		}
	}
}

func TestDefaultCache(t *testing.T) {
	t.Cleanup(xdg.Reload)
	home := t.TempDir()
	for _, tt := range []struct {
		reason   string
		env      map[string]string
		dirs     []string
		download string
	}{
		{"nothing set", nil,
			[]string{home + "/.cache/torch/hub/checkpoints", home + "/.cache/ftrun/weights"}, home + "/.cache/ftrun/weights"},
		{"XDG", map[string]string{"XDG_CACHE_HOME": "/x"},
			[]string{"/x/torch/hub/checkpoints", "/x/ftrun/weights"}, "/x/ftrun/weights"},
		{"torch's home", map[string]string{"TORCH_HOME": "~/t", "XDG_CACHE_HOME": "/x"},
			[]string{home + "/t/hub/checkpoints", "/x/ftrun/weights"}, "/x/ftrun/weights"},
		{"our own", map[string]string{"FTRUN_WEIGHTS": "/w", "XDG_CACHE_HOME": "/x"},
			[]string{"/w", "/x/torch/hub/checkpoints", "/x/ftrun/weights"}, "/w"},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			t.Setenv("HOME", home)
			for _, k := range []string{"TORCH_HOME", "XDG_CACHE_HOME", "FTRUN_WEIGHTS"} {
				t.Setenv(k, tt.env[k])
			}
			xdg.Reload()
			if xdg.CacheHome != filepath.Join(home, ".cache") && tt.env["XDG_CACHE_HOME"] == "" {
				t.Skip("this system keeps caches elsewhere")
			}
			c := DefaultCache()
			if !slices.Equal(c.Dirs, tt.dirs) || c.Download != tt.download {
				t.Errorf("searches %q, downloads to %q; want %q, %q", c.Dirs, c.Download, tt.dirs, tt.download)
			}
		})
	}
}

func TestLocate(t *testing.T) {
	e := published("http://unused.invalid")
	damaged := slices.Concat(content[:1000], []byte{content[1000] ^ 1}, content[1001:])
	for _, tt := range []struct {
		reason     string
		torch, own []byte
		want       string // folder
		damaged    bool
	}{
		{"nowhere", nil, nil, "", false},
		{"in torch's cache", content, nil, "torch", false},
		{"in ours", nil, content, "own", false},
		{"in both", content, content, "torch", false},
		{"altered", nil, damaged, "", true},
		{"truncated", content[:1000], nil, "", true},
		{"empty", []byte{}, nil, "", true},
		{"damaged in one, whole in the other", damaged, content, "own", false},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			c := newCache(t)
			if tt.torch != nil {
				put(t, c.Dirs[0], e.File, tt.torch)
			}
			if tt.own != nil {
				put(t, c.Dirs[1], e.File, tt.own)
			}
			path, found, err := c.Locate(e)
			var bad *ChecksumError
			if errors.As(err, &bad) != tt.damaged || found != (tt.want != "") {
				t.Fatalf("%q, %t, %v", path, found, err)
			}
			if found && filepath.Base(filepath.Dir(path)) != tt.want {
				t.Errorf("found %s, want the one in %s", path, tt.want)
			}
			if tt.damaged {
				// Nor does Fetch take it, or throw a user's file away.
				if _, err := c.Fetch(t.Context(), e, nil); !errors.As(err, &bad) || !strings.Contains(err.Error(), "delete it") {
					t.Errorf("Fetch: %v", err)
				}
			}
		})
	}
}

func TestFetchOnce(t *testing.T) {
	s := newServer(t, nil)
	e, c := published(s.URL), newCache(t)
	var done []int64
	path, err := c.Fetch(t.Context(), e, func(d, total int64) {
		if total != int64(len(content)) {
			t.Errorf("a total of %d, want %d", total, len(content))
		}
		done = append(done, d)
	})
	checkFetched(t, c, e, path, err)
	if len(done) < 2 || done[0] != 0 || done[len(done)-1] != int64(len(content)) || !slices.IsSorted(done) {
		t.Errorf("progress %d", done)
	}
	path, err = c.Fetch(t.Context(), e, nil)
	checkFetched(t, c, e, path, err)
	if n := s.requests.Load(); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}

func TestFetchResumes(t *testing.T) {
	whole := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(content) })
	garbage := bytes.Repeat([]byte("x"), 1000)
	for _, tt := range []struct {
		reason   string
		part     []byte
		respond  http.HandlerFunc
		requests int32
		first    int64 // of the progress
	}{
		{"from a part", content[:1000], nil, 1, 1000},
		{"from a part that is whole", content, nil, 1, -1},
		{"from a part that is too long", append(slices.Clone(content), 'x'), nil, 2, 0},
		{"from an empty part", []byte{}, nil, 1, 0},
		{"a server without ranges", content[:1000], whole, 1, 0},
		{"from a damaged part", garbage, nil, 2, 1000},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			s := newServer(t, tt.respond)
			e := published(s.URL)
			c := newCache(t)
			put(t, c.Download, e.File+".part", tt.part)
			first := int64(-1)
			path, err := c.Fetch(t.Context(), e, func(done, _ int64) {
				if first < 0 {
					first = done
				}
			})
			checkFetched(t, c, e, path, err)
			if n := s.requests.Load(); n != tt.requests || first != tt.first {
				t.Errorf("%d requests, progress from %d; want %d, %d", n, first, tt.requests, tt.first)
			}
		})
	}
}

func TestFetchAfterBrokenConnection(t *testing.T) {
	broken := true
	s := newServer(t, nil)
	whole := s.respond
	s.respond = func(w http.ResponseWriter, r *http.Request) {
		if !broken {
			whole(w, r)
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		w.Write(content[:500_000])
	}
	e, c := published(s.URL), newCache(t)
	_, err := c.Fetch(t.Context(), e, nil)
	var missing *MissingError
	if !errors.As(err, &missing) || missing.Kept != 500_000 || !strings.Contains(err.Error(), "connection broke") {
		t.Fatalf("error %v", err)
	}
	broken = false
	path, err := c.Fetch(t.Context(), e, nil)
	checkFetched(t, c, e, path, err)
	if got := s.ranges.Load(); got != "bytes=500000-" {
		t.Errorf("the second try asked for the range %q", got)
	}
}

func TestFetchFails(t *testing.T) {
	for _, tt := range []struct {
		reason  string
		respond http.HandlerFunc
		want    string
	}{
		{"no such file", http.NotFound, "404 Not Found"},
		{"server error", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusBadGateway) }, "502 Bad Gateway"},
		{"another file", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<html>log in first</html>") },
			"what came is not the file"},
		{"a range that was not asked for", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusPartialContent) },
			"206 Partial Content"},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			s := newServer(t, tt.respond)
			e, c := published(s.URL), newCache(t)
			_, err := c.Fetch(t.Context(), e, nil)
			checkMissing(t, c, e, err, tt.want)
			if left, _ := filepath.Glob(filepath.Join(c.Download, "tiny*")); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

// checkMissing sees that the error says which file, where it was looked for, its address and where to put it.
func checkMissing(t *testing.T, c *Cache, e Entry, err error, because string) {
	t.Helper()
	var missing *MissingError
	if !errors.As(err, &missing) {
		t.Fatalf("error %v, want a *MissingError", err)
	}
	for _, want := range append([]string{e.Arch, e.Name, e.URL, because, "put " + e.File + " into " + c.Download}, c.Dirs...) {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q:\n%v", want, err)
		}
	}
}

func TestFetchWithoutNetwork(t *testing.T) {
	s := newServer(t, nil)
	e, c := published(s.URL), newCache(t)
	s.Close()
	_, err := c.Fetch(t.Context(), e, nil)
	checkMissing(t, c, e, err, "connection refused")
	if n := strings.Count(err.Error(), e.URL); n != 1 {
		t.Errorf("the address comes %d times in %q", n, err)
	}
}

func TestFetchWrongRange(t *testing.T) {
	s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes 0-%d/%d", len(content)-1, len(content)))
		w.WriteHeader(http.StatusPartialContent)
		w.Write(content)
	})
	e, c := published(s.URL), newCache(t)
	part := put(t, c.Download, e.File+".part", content[:1000])
	_, err := c.Fetch(t.Context(), e, nil)
	checkMissing(t, c, e, err, "in place of the one from byte 1000 on")
	if b, err := os.ReadFile(part); err != nil || !bytes.Equal(b, content[:1000]) {
		t.Errorf("the part was changed (%v)", err)
	}
}

func TestFetchCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		w.Write(content[:4096])
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	e, c := published(s.URL), newCache(t)
	_, err := c.Fetch(ctx, e, func(done, _ int64) {
		if done == 4096 { // they may come in several pieces
			cancel()
		}
	})
	var missing *MissingError
	if !errors.Is(err, context.Canceled) || !errors.As(err, &missing) || missing.Kept != 4096 {
		t.Errorf("error %v", err)
	}
}

func TestFetchByTwoAtOnce(t *testing.T) {
	both := make(chan struct{})
	s := newServer(t, nil)
	whole := s.respond
	s.respond = func(w http.ResponseWriter, r *http.Request) {
		<-both
		whole(w, r)
	}
	e, c := published(s.URL), newCache(t)
	var wg sync.WaitGroup
	paths, errs := make([]string, 2), make([]error, 2)
	for i := range 2 {
		wg.Go(func() {
			// Each has its own handle of the lock, as two processes have.
			other := *c
			paths[i], errs[i] = other.Fetch(t.Context(), e, nil)
		})
	}
	time.Sleep(50 * time.Millisecond) // the second one comes to wait for the lock
	close(both)
	wg.Wait()
	for i := range 2 {
		checkFetched(t, c, e, paths[i], errs[i])
	}
	if n := s.requests.Load(); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}

func TestFetchIntoReadOnlyFolder(t *testing.T) {
	s := newServer(t, nil)
	e := published(s.URL)
	for _, tt := range []struct {
		reason string
		make   func(t *testing.T, dir string)
		want   string
	}{
		{"read-only", func(t *testing.T, dir string) {
			if os.Geteuid() == 0 {
				t.Skip("root may write everywhere")
			}
			if err := os.Mkdir(dir, 0o500); err != nil {
				t.Fatal(err)
			}
		}, "permission denied"},
		{"in a file's place", func(t *testing.T, dir string) { put(t, filepath.Dir(dir), filepath.Base(dir), nil) }, "not a directory"},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			c := newCache(t)
			c.Dirs = c.Dirs[:1]
			tt.make(t, c.Download)
			_, err := c.Fetch(t.Context(), e, nil)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), c.Download) {
				t.Errorf("error %v", err)
			}
		})
	}
}
