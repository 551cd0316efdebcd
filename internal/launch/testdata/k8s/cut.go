//go:build ignore

// cut writes, from the OpenAPI description of batch/v1 that Kubernetes publishes, what a Job is made of: its schema and
// those that it reaches, one a line, without descriptions.
//
//	go run cut.go KUBERNETES/api/openapi-spec/v3/apis__batch__v1_openapi.json > job.json
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log"
	"maps"
	"os"
	"slices"
	"strings"
)

const (
	job    = "io.k8s.api.batch.v1.Job"
	prefix = "#/components/schemas/"
)

func main() {
	raw, err := os.ReadFile(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	var doc struct {
		OpenAPI    string         `json:"openapi"`
		Info       map[string]any `json:"info"`
		Components struct {
			Schemas map[string]any `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		log.Fatal(err)
	}
	reached := map[string]any{}
	for todo := []string{job}; len(todo) > 0; {
		name := todo[0]
		todo = todo[1:]
		schema, there := doc.Components.Schemas[name]
		if _, seen := reached[name]; seen || !there {
			continue
		}
		reached[name] = cut(schema, &todo)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "{\"openapi\":%q,\n\"info\":%s,\n\"components\":{\"schemas\":{", doc.OpenAPI, text(doc.Info))
	for i, name := range slices.Sorted(maps.Keys(reached)) {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "\n%q:%s", name, text(reached[name]))
	}
	b.WriteString("\n}}}\n")
	os.Stdout.Write(b.Bytes())
}

// cut leaves descriptions out of a schema, and notes the names of those that it refers to.
func cut(v any, refs *[]string) any {
	switch v := v.(type) {
	case map[string]any:
		kept := map[string]any{}
		for key, member := range v {
			switch s, isText := member.(string); {
			case key == "description" && isText:
				continue
			case key == "$ref":
				*refs = append(*refs, strings.TrimPrefix(s, prefix))
			}
			kept[key] = cut(member, refs)
		}
		return kept
	case []any:
		for i := range v {
			v[i] = cut(v[i], refs)
		}
	}
	return v
}

func text(v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		log.Fatal(err)
	}
	return raw
}
