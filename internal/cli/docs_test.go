package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ftrun/ftrun/internal/runlog"
	"github.com/ftrun/ftrun/planner"
	"github.com/ftrun/ftrun/reports"
)

// Every event, and every field that a program may read, stands in docs/cli.md.
func TestDocumentationNamesEveryField(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("..", "..", "docs", "cli.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, events, _ := strings.Cut(string(raw), "\n## Events\n")
	events, report, ok := strings.Cut(events, "\n## Report as JSON\n")
	if !ok {
		t.Fatal("docs/cli.md lacks its sections on events and the report")
	}
	for _, e := range []runlog.Event{
		runlog.ApplyStarted{}, runlog.Note{}, runlog.Fetching{}, runlog.RunStarted{}, runlog.EpochDone{}, runlog.Warning{},
		runlog.RunFinished{}, runlog.RunFailed{}, runlog.RunInterrupted{}, runlog.RunSkipped{}, runlog.JobSubmitted{},
		runlog.RunsWaiting{}, runlog.RunRequeued{}, runlog.ApplyFinished{}, runlog.GateJudged{},
	} {
		line, err := runlog.MarshalEvent(e, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		var head struct{ Event string }
		if err := json.Unmarshal(line, &head); err != nil {
			t.Fatal(err)
		}
		_, row, found := strings.Cut(events, "| `"+head.Event+"` |")
		if !found {
			t.Errorf("docs/cli.md doesn't list the event %s", head.Event)
			continue
		}
		row, _, _ = strings.Cut(row, "\n")
		for _, name := range jsonFields(reflect.TypeOf(e), false) {
			if name != "run" && !strings.Contains(row, "`"+name+"`") {
				t.Errorf("docs/cli.md doesn't name %s of the event %s", name, head.Event)
			}
		}
	}
	for _, name := range append(jsonFields(reflect.TypeOf(runlog.Epoch{}), true), jsonFields(reflect.TypeOf(runlog.Result{}), false)...) {
		if !strings.Contains(events, "`"+name+"`") {
			t.Errorf("docs/cli.md doesn't name %s among the events", name)
		}
	}
	_, diff, _ := strings.Cut(string(raw), "\n## `ftrun diff`\n")
	diff, _, _ = strings.Cut(diff, "\n## ")
	for _, part := range []any{diffJSON{}, changedJSON{}, renamedJSON{}, planner.SettingChange{}} {
		for _, name := range jsonFields(reflect.TypeOf(part), false) {
			if !strings.Contains(diff, "`"+name+"`") {
				t.Errorf("docs/cli.md doesn't name %s of a diff", name)
			}
		}
	}
	_, comparison, ok := strings.Cut(report, "\n## Comparison as JSON\n")
	if !ok {
		t.Fatal("docs/cli.md lacks its section on comparisons as JSON")
	}
	for _, part := range []any{reports.Comparison{}, reports.Criterion{}, reports.Judgement{}, reports.Interval{}, reports.PValue{}, reports.Value{}, reports.Side{}} {
		for _, name := range jsonFields(reflect.TypeOf(part), false) {
			if name != "-" && !strings.Contains(comparison, "`"+name+"`") {
				t.Errorf("docs/cli.md doesn't name %s of a comparison", name)
			}
		}
	}
	for _, name := range jsonFields(reflect.TypeOf(reports.Run{}), true) {
		if !strings.Contains(report, "`"+name+"`") {
			t.Errorf("docs/cli.md doesn't name %s of a report", name)
		}
	}
}

// jsonFields lists the names of a struct's fields as JSON, those of embedded structs and, with deep, of inner ones too.
func jsonFields(t reflect.Type, deep bool) []string {
	var names []string
	for f := range fieldsOf(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous {
			names = append(names, jsonFields(f.Type, deep)...)
			continue
		}
		names = append(names, name)
		inner := f.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if deep && inner.Kind() == reflect.Struct {
			names = append(names, jsonFields(inner, deep)...)
		}
	}
	return names
}

func fieldsOf(t reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			if !yield(t.Field(i)) {
				return
			}
		}
	}
}
