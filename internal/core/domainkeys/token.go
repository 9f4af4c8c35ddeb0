// SPDX-License-Identifier: Apache-2.0

package domainkeys

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"strongroom/internal/core/hsm"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/secret"
)

// BirthLabel is the label of the note that a key is being born in the root, under an id that no entry names yet (docs/spec/token-wallets.md). It is in the
// root, and not beside it, because a file of an earlier day must not say so of a key that has been in use since.
const BirthLabel = "token-birth"

// birthHeader says which key is being born.
type birthHeader struct {
	V    uint          `cbor:"1,keyasint"` // 1
	What string        `cbor:"2,keyasint"` // "token-birth"
	Key  custody.KeyID `cbor:"3,keyasint"`
}

// MarkBirth notes in the root that a key is about to be born there. [hsm.ErrExists] while another one's note is there.
func MarkBirth(ctx context.Context, a *secret.Arena, root hsm.Sealer, id custody.KeyID) error {
	one, err := secret.New(a, 1, func(b []byte) error { b[0] = 1; return nil })
	if err != nil {
		return fmt.Errorf("domainkeys: note a birth: %w", err)
	}
	defer one.Wipe()
	if err := root.Seal(ctx, BirthLabel, canon.Encode(birthHeader{V: 1, What: BirthLabel, Key: id}), one); err != nil {
		return fmt.Errorf("domainkeys: note a birth: %w", err)
	}
	return nil
}

// Birth gives the key that [MarkBirth] noted; not ok if there is none. A note that can't be read is an error: nobody knows then which key it was.
func Birth(ctx context.Context, root hsm.Sealer) (id custody.KeyID, ok bool, err error) {
	b, one, err := root.Unseal(ctx, BirthLabel)
	if errors.Is(err, hsm.ErrNotFound) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("domainkeys: read whether a key was being born: %w", err)
	}
	one.Wipe()
	var h birthHeader
	if err := canon.Decode(b, &h); err != nil || h.V != 1 || h.What != BirthLabel || h.Key.Check() != nil {
		return "", false, fmt.Errorf("domainkeys: the note of a birth can't be read: %w", errors.Join(ErrUnfit, err))
	}
	return h.Key, true, nil
}

// ClearBirth removes the note: the log names the key, or the key is destroyed.
func ClearBirth(ctx context.Context, root hsm.Sealer) error {
	if err := root.Destroy(ctx, BirthLabel); err != nil {
		return fmt.Errorf("domainkeys: clear the note of a birth: %w", err)
	}
	return nil
}

// DestroyTokenKeys destroys every key that lies in a root, whoever names it, and makes sure that none is left; named are destroyed whether or not the root
// lists them: of one that somebody removed, the public half may still be there. A root without the capability has none. It goes on after a failure, and
// gives all of them.
func DestroyTokenKeys(ctx context.Context, root hsm.Root, named ...custody.KeyID) error {
	keys, ok := root.(hsm.TokenKeys)
	if !ok {
		return nil
	}
	ids, err := keys.TokenKeyIDs(ctx)
	if err != nil {
		return fmt.Errorf("domainkeys: list the keys in the root: %w", err)
	}
	all := slices.Concat(ids, named)
	slices.Sort(all)
	for _, id := range slices.Compact(all) {
		if e := keys.DestroyTokenKey(ctx, id); e != nil {
			err = errors.Join(err, fmt.Errorf("domainkeys: destroy key %s: %w", id, e))
		}
	}
	if len(ids) > 0 && err == nil {
		if ids, err = keys.TokenKeyIDs(ctx); err == nil && len(ids) > 0 {
			err = fmt.Errorf("domainkeys: %d keys are in the root still, after they were destroyed", len(ids))
		}
	}
	return errors.Join(err, ClearBirth(ctx, root))
}
