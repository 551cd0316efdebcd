package planner

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
)

// A run is known by what it does. Its trajectory, the sequence of states that training goes through, is the SHA-256 of
//
//	{"numerics_version":1,"dataset":"<hash>","settings":"<SHA-256>","seed":0}
//
// where settings are hashed in canonical form: the JSON of Settings with all defaults filled in, without the path of a
// weights file (its hash counts), and without epochs and early stopping, which end the sequence but don't change it.
// Where the schedule depends on the number of epochs, epochs stay. A run's id is the SHA-256 of
//
//	{"trajectory":"<SHA-256>","epochs":15,"early_stop":{…}}
//
// So runs of one trajectory have the same bits up to the epoch where the shorter one ends. Labels, devices and threads
// are in neither.
//
// Both are cut to 16 hexadecimal digits, 64 bits: among a million runs two share an id with a probability below 3·10⁻⁸,
// and folders stay short enough to read.
const idLen = 16

// minPrefix is how much of an id a person must give at least.
const minPrefix = 4

// identifier computes ids from the parts of the documents above.
type identifier struct{ buf []byte }

func (d *identifier) identify(numerics int, dataset string, settings *settingsHash, epochs int, stop *EarlyStop, seed int64) (id, trajectory string) {
	b := append(d.buf[:0], `{"numerics_version":`...)
	b = strconv.AppendInt(b, int64(numerics), 10)
	b = append(b, `,"dataset":`...)
	b = strconv.AppendQuote(b, dataset)
	b = append(b, `,"settings":"`...)
	b = hex.AppendEncode(b, settings[:])
	b = append(b, `","seed":`...)
	b = strconv.AppendInt(b, seed, 10)
	b = append(b, '}')
	sum := sha256.Sum256(b)
	full := hex.EncodeToString(sum[:])

	b = append(b[:0], `{"trajectory":"`...)
	b = append(b, full...)
	b = append(b, `","epochs":`...)
	b = strconv.AppendInt(b, int64(epochs), 10)
	if stop != nil {
		b = append(b, `,"early_stop":`...)
		b = append(b, mustJSON(stop)...)
	}
	b = append(b, '}')
	d.buf = b
	sum = sha256.Sum256(b)
	return hex.EncodeToString(sum[:idLen/2]), full[:idLen]
}

// settingsHash is the SHA-256 of settings in the canonical form of their trajectory.
type settingsHash [sha256.Size]byte

func hashSettings(e *encoder, s *Settings) settingsHash {
	bare := *s
	bare.Weights.Path = ""
	bare.EarlyStop = nil
	if !s.DependsOnEpochs() {
		bare.Epochs = 0
	}
	raw, err := e.encode(&bare)
	if err != nil {
		panic(fmt.Sprintf("planner: settings have no JSON: %v", err)) // spec lets no infinity through
	}
	return sha256.Sum256(raw)
}

// DependsOnEpochs tells whether the schedule spreads over the whole run, so that a longer run differs from the start.
func (s *Settings) DependsOnEpochs() bool {
	return s.Schedule != nil && (s.Schedule.Kind == "cosine" || s.Schedule.Kind == "onecycle")
}

func mustJSON(v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("planner: %T has no JSON: %v", v, err))
	}
	return raw
}
