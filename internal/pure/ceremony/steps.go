// SPDX-License-Identifier: Apache-2.0

package ceremony

import "fmt"

// CoreActor is who does the steps of the core.
const CoreActor = "core"

// StepKind says what happens in a step, and which body its record has.
type StepKind string

// The kinds of step.
const (
	StepOpen    StepKind = "open"    // the administrator opens: [Opening]
	StepAttend  StepKind = "attend"  // somebody says that they are there, and for which script: [Attend]
	StepProgram StepKind = "program" // somebody says which program they saw, computed on another machine: [Program]
	StepCommit  StepKind = "commit"  // the core commits to what the machine's sources gave: [Commit]
	StepDice    StepKind = "dice"    // a custodian commits to their dice: [Commit]
	StepMix     StepKind = "mix"     // all is revealed to the core, compared with the commitments, and mixed: [Mix]
	StepMake    StepKind = "make"    // the core makes keys and shares: [Made]
	StepReceipt StepKind = "receipt" // a custodian has checked their share: [Receipt]
	StepStore   StepKind = "store"   // a custodian's share is put away: [Stored]
	StepImport  StepKind = "import"  // the core makes the key to which shares are encrypted for this one load: [Import]
	StepPart    StepKind = "part"    // a custodian hands their share in: [Part]
	StepCombine StepKind = "combine" // the core has the master secret, compares it, and uses it for the purpose: [Combined]
	StepNote    StepKind = "note"    // a witness writes down what departs from the script: [Note]; anywhere, any number
)

// Step is one thing that somebody does.
type Step struct {
	Kind  StepKind
	Actor string // name of a participant, or [CoreActor]
	Title string // what the person is told to do
}

// ID names a step within its ceremony: "receipt/alice".
func (s Step) ID() string { return string(s.Kind) + "/" + s.Actor }

// Steps gives what happens, in order. It follows from the script alone; a transcript has a record for each, in this order, and notes between.
func (s Script) Steps() []Step {
	b := &stepper{}
	admin := s.Of(Administrator)[0].Name
	b.add(StepOpen, admin, "open the ceremony: read out the hash of the script")
	for _, p := range s.Participants {
		b.add(StepAttend, p.Name, fmt.Sprintf("compare the hash of the script with your copy, and sign that you take part as %s", p.Role))
	}
	// Two people of different roles compare the program, on machines of their own.
	for _, name := range []string{admin, s.Of(Witness)[0].Name} {
		b.add(StepProgram, name, "compute the SHA-256 of strongroom-core on another machine, and type it in")
	}
	if s.Purpose == Create {
		b.add(StepCommit, CoreActor, "draw from each source of the machine, and commit to it")
		for _, name := range s.Entropy.Dice {
			b.add(StepDice, name, fmt.Sprintf("roll a die %d times and type the results; the core commits to them", s.Entropy.Rolls))
		}
		b.add(StepMix, CoreActor, "compare everything with its commitment, and mix the master secret")
	} else {
		b.add(StepImport, CoreActor, "make the key to which the shares are encrypted, for this load only")
		for _, p := range s.Bringers() {
			b.add(StepPart, p.Name, "open your share with your own key, and encrypt it to the core")
		}
		b.add(StepCombine, CoreActor, "join the shares, and compare the master secret with what the domain's log names")
	}
	if s.makes() {
		b.add(StepMake, CoreActor, "make the shares, each encrypted to its custodian")
		for _, p := range s.Receivers() {
			b.add(StepReceipt, p.Name, "decrypt your share, check it against the commitments, and sign the receipt")
			b.add(StepStore, p.Name, "put your share into its bag, and the bag into its safe; read out both numbers")
		}
	}
	return b.steps
}

type stepper struct{ steps []Step }

func (b *stepper) add(k StepKind, actor, title string) {
	b.steps = append(b.steps, Step{Kind: k, Actor: actor, Title: title})
}
