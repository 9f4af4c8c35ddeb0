// SPDX-License-Identifier: Apache-2.0

package ceremony_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"log"

	"filippo.io/age"

	"strongroom/internal/core/ceremony"
	"strongroom/internal/core/recovery"
	"strongroom/internal/secret"
)

// A ceremony of 3 of 5, and a restore by three of the custodians.
func Example() {
	ctx := context.Background()
	arena, err := secret.NewArena(secret.Config{Size: 1 << 20})
	check(err)
	defer func() { check(arena.Close()) }()
	script := sha256.Sum256([]byte("the script of this ceremony"))

	// Each custodian has an age identity, for their share, and an enrolled key, for receipts.
	var layout ceremony.Layout
	openers := map[string]ceremony.Opener{}
	layout.Threshold = 3
	for _, name := range []string{"ada", "ben", "cleo", "dan", "eve"} {
		id, err := age.GenerateHybridIdentity()
		check(err)
		to, err := ceremony.ParseRecipient(id.Recipient().String())
		check(err)
		layout.Custodians = append(layout.Custodians, ceremony.Custodian{Name: name, Recipient: to})
		openers[name] = ceremony.AgeOpener(id)
	}

	// The machine commits first; then ada and ben roll dice. All commitments go to the transcript.
	draw, err := ceremony.Begin(ctx, ceremony.Config{Arena: arena, Ceremony: script, Production: true,
		Sources: []ceremony.Source{kernel{}}, Dice: []string{"dice/ada", "dice/ben"}})
	check(err)
	defer draw.Close()
	for i, name := range []string{"dice/ada", "dice/ben"} {
		rolls, err := secret.Take(arena, []byte(dice(50, uint64(i+1)))) // typed at the terminal
		check(err)
		_, err = draw.Roll(name, rolls)
		rolls.Wipe()
		check(err)
	}
	fmt.Println(len(draw.Commitments()), "commitments")

	// The core makes the master secret and everything that follows from it, and forgets it.
	head := sha256.Sum256([]byte("the transcript so far"))
	made, err := draw.Make(head, layout)
	check(err)
	fmt.Println(made.Commitments.Scheme(), "shares, recovery key of", len(made.Recovery), "bytes")

	// Each custodian checks their share without the others, and signs a receipt.
	known := ceremony.Expect{Sharing: made.Commitments.Hash(), Recovery: sha256.Sum256(made.Recovery)}
	for _, s := range made.Shares {
		o, err := ceremony.OpenShare(arena, s.Sealed, openers[s.Custodian])
		check(err)
		check(o.Expect(known))
		receipt := o.Receipt(head)
		check(receipt.Check(o.Meta, o.Commitments, head)) // as who reads the transcript does; the custodian signs the record that has it
		o.Wipe()
	}

	// From now on anything can be sealed for recovery without them.
	identity := [32]byte{1, 2, 3}
	dwk, err := secret.Take(arena, bytes.Repeat([]byte{7}, 32))
	check(err)
	defer dwk.Wipe()
	sealed, err := recovery.Seal(made.Recovery, identity, "dwk-1", dwk)
	check(err)

	// Years later three custodians hand in their shares at a new machine.
	load, err := ceremony.NewLoad(arena, sha256.Sum256([]byte("the script of the restore")), known)
	check(err)
	defer load.Close()
	for _, i := range []int{4, 0, 2} {
		o, err := ceremony.OpenShare(arena, made.Shares[i].Sealed, openers[made.Shares[i].Custodian])
		check(err)
		part, err := o.HandIn(load.Importer())
		check(err)
		o.Wipe()
		meta, err := load.Add(part)
		check(err)
		fmt.Println("share", meta.Index, "of", meta.Custodian)
	}
	key, err := load.Restore()
	check(err)
	defer key.Wipe()
	again, err := key.Open(arena, identity, "dwk-1", sealed)
	check(err)
	defer again.Wipe()
	fmt.Println("the working key is back:", again.Equal(dwk))

	// Output:
	// 3 commitments
	// 3 of 5 shares, recovery key of 1216 bytes
	// share 5 of eve
	// share 1 of ada
	// share 3 of cleo
	// the working key is back: true
}

// kernel is the system's randomness.
type kernel struct{}

func (kernel) Name() string { return "system" }

func (kernel) Read(_ context.Context, b []byte) error {
	_, err := rand.Read(b)
	return err
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
