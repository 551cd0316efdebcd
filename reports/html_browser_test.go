package reports

import (
	"bytes"
	"context"
	"encoding/json"
	"html"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// inspection is what the page testdata/inspect.html finds out of a report that it holds in a frame, in a browser.
type inspection struct {
	Problems []string // what went wrong in the inspection
	Requests []string // what the page loaded beside itself
	Title    string
	Plots    []string            // accessible names
	Roles    map[string]int      // elements by their accessible role
	Unnamed  []string            // pictures, tables, regions without an accessible name
	Columns  map[string][]string // the places in the table of the first sweep, after a click on a column
	Opened   bool                // a link opened the details that it leads to
	Wide     map[string]int      // by width of the window: pixels by which the page is wider
}

// TestPageInBrowser opens reports in a real browser that reaches no network, and looks at what it made of them.
func TestPageInBrowser(t *testing.T) {
	browser := findBrowser()
	if browser == "" {
		t.Skip("there is no chromium, chromium-browser or google-chrome in PATH to open the page with")
	}
	odd := swept(4, 2, 5, 8)
	odd.Comparisons = spiteful(t)
	for name, c := range map[string]struct {
		report *Report
		want   inspection
	}{
		"two configurations": {twoModes(), inspection{
			Title: "quickstart.hcl – ftrun report",
			Plots: []string{
				"Validation accuracy by epoch", "Validation loss by epoch", "Validation accuracy against trained parameters",
				"Accuracy by epoch", "Loss by epoch", "Accuracy by epoch", "Loss by epoch",
			},
			Columns: map[string][]string{"val acc": {"1", "2"}, "trained": {"1", "2"}, "#": {"1", "2"}, "mode": {"2", "1"}, "time": {"1", "2"}},
		}},
		"hostile names, with comparisons": {odd, inspection{
			Title: `</title></style></script><script>document.title="taken"</script> – ftrun report`,
			Plots: []string{
				"Validation accuracy by epoch", "Validation loss by epoch", "Validation accuracy against trained parameters",
				"Accuracy by epoch", "Loss by epoch", "Accuracy by epoch", "Loss by epoch", "Accuracy by epoch", "Loss by epoch", "Accuracy by epoch", "Loss by epoch",
			},
			// The last has failed: it has neither accuracy nor time, and comes last either way. Of equals the order stays.
			Columns: map[string][]string{"val acc": {"1", "2", "3", "4"}, "trained": {"4", "3", "2", "1"}, "#": {"1", "2", "3", "4"}, "lr": {"1", "2", "3", "4"}, "time": {"3", "2", "1", "4"}},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "report.html"), []byte(page(t, c.report)), 0o666); err != nil {
				t.Fatal(err)
			}
			raw, err := os.ReadFile(filepath.Join("testdata", "inspect.html"))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "inspect.html"), raw, 0o666); err != nil {
				t.Fatal(err)
			}
			got := inspect(t, browser, dir)
			if got.Roles["image"] != len(c.want.Plots) || got.Roles["table"] == 0 {
				t.Errorf("accessible roles %v", got.Roles)
			}
			for _, list := range []*[]string{&got.Problems, &got.Requests, &got.Unnamed} {
				if len(*list) == 0 {
					*list = nil
				}
			}
			got.Roles = nil
			c.want.Opened = true
			c.want.Wide = map[string]int{"320": 0, "390": 0, "1280": 0}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

// twoModes is a small sweep without anything odd.
func twoModes() *Report {
	r := swept(3, 3, 6, 4)
	r.Title = "quickstart.hcl"
	r.Runs = r.Runs[:6]
	for i := range r.Runs {
		mode := []string{"finetune", "extract"}[i/3]
		r.Runs[i].Labels = []Label{label("mode", mode)}
		r.Runs[i].Params.Trainable = []int64{11_178_564, 2_052}[i/3]
	}
	course := r.Course
	r.Course = func(id string) (Course, error) {
		c, err := course(id)
		c.Classes = []string{"ant", "bee", "fly", "moth"}
		return c, err
	}
	return r
}

func findBrowser() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// inspect opens inspect.html of a folder. All that the browser asks the network for goes to a proxy that refuses it; a
// request of the page's would be seen there too.
func inspect(t *testing.T, browser, dir string) inspection {
	var mu sync.Mutex
	var asked []string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, r.Host)
		w.WriteHeader(http.StatusForbidden)
	}))
	defer proxy.Close()
	_, port, err := net.SplitHostPort(proxy.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	args := []string{
		"--headless=new", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--user-data-dir=" + filepath.Join(dir, "profile"), "--proxy-server=127.0.0.1:" + port, "--allow-file-access-from-files",
		"--enable-blink-features=ComputedAccessibilityInfo", "--window-size=1400,1000", "--virtual-time-budget=20000", "--dump-dom", "--enable-logging=stderr",
	}
	if os.Geteuid() == 0 {
		args = append(args, "--no-sandbox") // it does not start for root otherwise
	}
	cmd := exec.CommandContext(ctx, browser, append(args, "file://"+filepath.ToSlash(filepath.Join(dir, "inspect.html")))...)
	var log bytes.Buffer
	cmd.Stderr = &log
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("the browser: %v\n%s", err, &log)
	}
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, "CONSOLE") {
			t.Errorf("in the browser's console: %s", line)
		}
	}
	_, found, _ := strings.Cut(string(out), `<pre id="found">`)
	found, _, ok := strings.Cut(found, "</pre>")
	var got inspection
	if err := json.Unmarshal([]byte(html.UnescapeString(found)), &got); !ok || err != nil {
		t.Fatalf("the page was not inspected (%v): %s", err, out)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, host := range asked {
		if strings.Contains(host, "example.com") {
			t.Errorf("the page asked for something at %s", host)
		}
	}
	return got
}
