package launch

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/ftrun/ftrun/planner"
)

// Array is a job array: runs that are started alike, or the features that such runs share. Its tasks don't wait for each
// other. On Kubernetes it is an indexed Job.
type Array struct {
	Name     string         // "ID-1": the launch's id, and a number from 1 on
	Launch   planner.Launch // what each task gets: the most that one of them asks for
	Features bool           // the tasks make features, and train nothing
	Tasks    []Task

	// After are arrays, by index, that must have ended, however: their runs' weights or checkpoints are what these start
	// from, or more tasks of the launcher would go on than it allows.
	After []int
	// AfterOK are arrays, by index, that must have succeeded: they make the features that these runs work on. None of
	// them is in After.
	AfterOK []int
}

// waits tells whether other arrays come first.
func (a *Array) waits() bool { return len(a.After)+len(a.AfterOK) > 0 }

// Awaited lists all arrays, by index, that come first.
func (a *Array) Awaited() []int {
	all := slices.Concat(a.AfterOK, a.After)
	slices.Sort(all)
	return all
}

// Task is one task of an array; its index there is its number in the scheduler's array.
type Task struct {
	Run     string // id of the run that it trains; "": it makes features
	Index   int    // in the plan's Runs: of that run, or of one that describes the features
	Sharing int    // in the plan's Sharing: the features that it makes; -1: none
}

// idDigits is the length of a launch's id.
const idDigits = 12

// Arrange says which job arrays carry out what is left to be done of a plan, in an order in which they can be submitted:
// an array waits only for earlier ones. maxTasks, at least 1, is the most tasks that one may have. Without share no
// features are made beforehand.
//
// There is one array for each launch and level. A run is one level above the highest of those that it needs or goes on
// from, as far as they are still to be trained. Features that several runs of an array share are made first, by an array
// of which each task makes one sharing's. An array that is too long is cut. Runs with the same id are one task.
//
// A launcher's MaxParallel bounds an array's tasks, and there may be many arrays. So those of a launcher that has it
// follow each other, and launches that differ only in what follows from estimates share one array.
func Arrange(p *planner.Plan, maxTasks int, share bool) []Array {
	if maxTasks < 1 {
		panic(fmt.Sprintf("launch: arrays of at most %d tasks", maxTasks))
	}
	var arrays []Array
	trains := make(map[string]int, len(p.Runs)) // run's id → array
	makes := map[int]int{}                      // sharing → array
	bounded := map[launcher][]int{}             // the arrays of launchers that have a bound
	for _, g := range arrangeGroups(p, share) {
		for tasks := range slices.Chunk(g.tasks, maxTasks) {
			index := len(arrays)
			a := Array{Features: g.makesFeatures(), Tasks: tasks, Launch: g.launch}
			after, afterOK := map[int]bool{}, map[int]bool{}
			for _, t := range tasks {
				r := &p.Runs[t.Index]
				for _, need := range r.Needs {
					if at, there := trains[need]; there {
						after[at] = true
					}
				}
				if a.Features {
					continue
				}
				if at, there := trains[r.From]; there {
					after[at] = true
				}
				if at, there := makes[r.Sharing]; there {
					afterOK[at] = true
				}
			}
			if a.Launch.MaxParallel > 0 {
				// All, and not the last alone: that may be refused, or cancelled while it waits itself.
				by := launcherOf(&a.Launch)
				for _, at := range bounded[by] {
					after[at] = true
				}
				bounded[by] = append(bounded[by], index)
			}
			for at := range afterOK {
				delete(after, at)
			}
			for _, t := range tasks {
				if a.Features {
					makes[t.Sharing] = index
				} else {
					trains[t.Run] = index
				}
			}
			a.After, a.AfterOK = sorted(after), sorted(afterOK)
			arrays = append(arrays, a)
		}
	}
	id := identify(p, arrays)
	for i := range arrays {
		arrays[i].Name = fmt.Sprintf("%s-%d", id, i+1)
	}
	return arrays
}

// ID is that of the launch that the arrays are. The same arrays of the same plan have the same.
func ID(arrays []Array) string {
	if len(arrays) == 0 {
		return ""
	}
	return arrays[0].Name[:idDigits]
}

// Plan is the plan of the array alone, as its tasks read it: task i trains the run i of it, or makes the features of its
// sharing i. All are started as the array is. p is the plan that was arranged.
func (a *Array) Plan(p *planner.Plan) *planner.Plan {
	in := make(map[*planner.Run]bool, len(a.Tasks))
	for _, t := range a.Tasks {
		in[&p.Runs[t.Index]] = true
	}
	part := p.Only(func(r *planner.Run) bool { return in[r] })
	if len(part.Launches) > 0 {
		part.Launches = []planner.Launch{a.Launch}
		for i := range part.Runs {
			part.Runs[i].Launch = 0
		}
	}
	return part
}

// launcher tells launchers apart.
type launcher struct{ kind, name string }

func launcherOf(l *planner.Launch) launcher { return launcher{l.Kind, l.Name} }

// group is an array before it is cut.
type group struct {
	groupKey
	launch planner.Launch
	tasks  []Task
}

type groupKey struct {
	stage int // twice the level for features, and one more for the runs of that level
	shape string
}

// makesFeatures tells whether the tasks train nothing.
func (g *group) makesFeatures() bool { return g.stage%2 == 0 }

// arrangeGroups lists the arrays before they are cut. Stages ascend, so whatever is waited for comes first.
func arrangeGroups(p *planner.Plan, share bool) []*group {
	levels := newLevels(p)
	var made map[int]*featureTask
	if share {
		made = sharedFeatures(p, levels)
	}
	var order []*group
	groups, shapes := map[groupKey]*group{}, shapes{}
	add := func(stage int, l *planner.Launch, t Task) {
		key := groupKey{stage, shapes.of(l)}
		g := groups[key]
		if g == nil {
			g = &group{groupKey: key, launch: *l}
			groups[key] = g
			order = append(order, g)
		}
		g.launch.Memory, g.launch.Seconds = max(g.launch.Memory, l.Memory), max(g.launch.Seconds, l.Seconds)
		g.tasks = append(g.tasks, t)
	}
	for i, first := range levels.todo {
		if !first {
			continue
		}
		r := &p.Runs[i]
		add(2*levels.of(i)+1, p.LaunchOf(r), Task{Run: r.ID, Index: i, Sharing: -1})
		if f := made[r.Sharing]; f != nil && f.run == i {
			add(2*f.level, f.launch, Task{Index: i, Sharing: r.Sharing})
		}
	}
	slices.SortFunc(order, func(a, b *group) int {
		return cmp.Or(cmp.Compare(a.stage, b.stage), cmp.Compare(a.tasks[0].Index, b.tasks[0].Index))
	})
	return order
}

// shapes are what launches must have in common to go into one array.
type shapes map[*planner.Launch]string

// of is all that the launch asks for, and where only so many may go on at a time, all but what follows from estimates:
// that would make an array of almost each architecture, and these would have to follow each other.
func (s shapes) of(l *planner.Launch) string {
	shape, known := s[l]
	if !known {
		said := *l
		if l.MaxParallel > 0 && l.EstimatedMemory {
			said.Memory = 0
		}
		if l.MaxParallel > 0 && l.EstimatedTime {
			said.Seconds = 0
		}
		raw, err := json.Marshal(&said)
		if err != nil {
			panic(fmt.Sprintf("launch: a launch has no JSON: %v", err))
		}
		shape = string(raw)
		s[l] = shape
	}
	return shape
}

// featureTask makes the features of a sharing.
type featureTask struct {
	run    int             // whose views of the pictures are all that any run wants
	level  int             // the lowest of its runs
	launch *planner.Launch // of the first run of that level
	runs   int
}

// sharedFeatures lists, by sharing, the features that more than one run works on. What one run alone uses again and again
// it makes itself.
func sharedFeatures(p *planner.Plan, levels *levels) map[int]*featureTask {
	made := map[int]*featureTask{}
	for i, first := range levels.todo {
		r := &p.Runs[i]
		if s := &p.Sharing[r.Sharing]; !first || s.Train == nil && s.Val == nil {
			continue
		}
		level := levels.of(i)
		f := made[r.Sharing]
		if f == nil {
			f = &featureTask{run: i, level: level, launch: p.LaunchOf(r)}
			made[r.Sharing] = f
		}
		f.runs++
		if level < f.level {
			f.level, f.launch = level, p.LaunchOf(r)
		}
		if p.Settings[r.Settings].FixedViews() > p.Settings[p.Runs[f.run].Settings].FixedViews() {
			f.run = i
		}
	}
	for sharing, f := range made {
		if f.runs < 2 {
			delete(made, sharing)
		}
	}
	return made
}

// levels says how high each run stands above those that wait for nothing.
type levels struct {
	plan  *planner.Plan
	todo  []bool         // by index: to be trained, and the first of its id
	index map[string]int // of these, by id
	level []int          // from 1 on; 0: not known yet; underway: being found out
}

// underway marks a run whose level is being found out. Only a plan that was tampered with comes back to one.
const underway = -1

func newLevels(p *planner.Plan) *levels {
	l := &levels{plan: p, todo: make([]bool, len(p.Runs)), index: make(map[string]int, len(p.Runs)), level: make([]int, len(p.Runs))}
	for i := range p.Runs {
		r := &p.Runs[i]
		if _, seen := l.index[r.ID]; r.Action != planner.Done && !seen {
			l.todo[i] = true
			l.index[r.ID] = i
		}
	}
	return l
}

// of is the level of a run that is to be trained. A run may go on from one that stands after it in the plan.
func (l *levels) of(i int) int {
	if l.level[i] == underway {
		return 0
	}
	if l.level[i] == 0 {
		l.level[i] = underway
		highest := 0
		r := &l.plan.Runs[i]
		for _, need := range r.Needs {
			if at, there := l.index[need]; there {
				highest = max(highest, l.of(at))
			}
		}
		if at, there := l.index[r.From]; there {
			highest = max(highest, l.of(at))
		}
		l.level[i] = highest + 1
	}
	return l.level[i]
}

// identify hashes what is launched: which runs, what is there of them, how they are started, and what waits for what.
func identify(p *planner.Plan, arrays []Array) string {
	sum := sha256.New()
	enc := json.NewEncoder(sum)
	write := func(v any) {
		if err := enc.Encode(v); err != nil {
			panic(fmt.Sprintf("launch: an array has no JSON: %v", err))
		}
	}
	write([]any{p.Version, p.Numerics})
	for i := range arrays {
		a := &arrays[i]
		write([]any{a.Launch, a.Features, a.After, a.AfterOK, len(a.Tasks)})
		for _, t := range a.Tasks {
			r := &p.Runs[t.Index]
			write([]any{r.ID, r.Action, r.Replaces, r.FromEpoch})
		}
	}
	return hex.EncodeToString(sum.Sum(nil))[:idDigits]
}

func sorted(set map[int]bool) []int {
	var list []int
	for i := range set {
		list = append(list, i)
	}
	slices.Sort(list)
	return list
}
