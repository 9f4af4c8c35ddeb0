// SPDX-License-Identifier: Apache-2.0

package domainkeys

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"strongroom/internal/core/hsm"
	"strongroom/internal/core/recovery"
	"strongroom/internal/core/seal"
	"strongroom/internal/pure/canon"
	"strongroom/internal/secret"
)

// Labels of a root besides the identity and the working keys. docs/spec/domain.md.
const (
	whatRestored  = "restored"
	TamperedLabel = "tampered"
)

// RestoredLabel is where a restore puts the working key of an epoch back: "restored-1". The domain takes it from there when its recovery
// plan says so.
func RestoredLabel(epoch uint64) string {
	return whatRestored + "-" + strconv.FormatUint(epoch, 10)
}

// ForRecovery seals the working key to a recovery public key.
func (d *DWK) ForRecovery(public []byte) ([]byte, error) {
	return recovery.Seal(public, d.Identity, Label(d.Epoch), d.key)
}

// ForRecovery seals the identity to a recovery public key.
func (i *Identity) ForRecovery(public []byte) ([]byte, error) {
	return recovery.Seal(public, i.IdentityKey(), IdentityLabel, i.parts)
}

// RecoverDWK opens the sealed copy of the working key of an epoch. The caller compares its pattern with the one that the log names.
func RecoverDWK(a *secret.Arena, k *recovery.Key, identity [ed25519.PublicKeySize]byte, epoch uint64, sealed []byte) (*DWK, error) {
	key, err := k.Open(a, identity, Label(epoch), sealed)
	if err != nil {
		return nil, fmt.Errorf("domainkeys: working key of epoch %d: %w", epoch, err)
	}
	pattern, err := seal.Pattern(key, identity, epoch)
	if err == nil && key.Len() != seal.KeySize {
		err = ErrUnfit
	}
	if err != nil {
		key.Wipe()
		return nil, fmt.Errorf("domainkeys: working key of epoch %d: %w", epoch, err)
	}
	return &DWK{Epoch: epoch, Pattern: pattern, Identity: identity, key: key}, nil
}

// RecoverIdentity opens the sealed copy of the identity of the domain with this identity key.
func RecoverIdentity(a *secret.Arena, k *recovery.Key, identity [ed25519.PublicKeySize]byte, sealed []byte) (*Identity, error) {
	parts, err := k.Open(a, identity, IdentityLabel, sealed)
	if err != nil {
		return nil, fmt.Errorf("domainkeys: identity: %w", err)
	}
	if parts.Len() != identitySize {
		parts.Wipe()
		return nil, fmt.Errorf("domainkeys: identity: %w", ErrUnfit)
	}
	i, err := newIdentity(a, parts)
	if err != nil {
		return nil, err
	}
	if i.IdentityKey() != identity {
		i.Wipe()
		return nil, fmt.Errorf("domainkeys: identity: %w", ErrUnfit)
	}
	return i, nil
}

// SaveRestored seals the working key under [RestoredLabel], in place of an earlier restore's.
func (d *DWK) SaveRestored(ctx context.Context, root hsm.Sealer) error {
	label := RestoredLabel(d.Epoch)
	if err := root.Destroy(ctx, label); err != nil {
		return fmt.Errorf("domainkeys: clear %s: %w", label, err)
	}
	if err := root.Seal(ctx, label, d.header(), d.key); err != nil {
		return fmt.Errorf("domainkeys: save %s: %w", label, err)
	}
	return nil
}

// LoadRestored unseals what a restore put back, and checks it as [LoadDWK] does.
func LoadRestored(ctx context.Context, root hsm.Sealer, identity [ed25519.PublicKeySize]byte, epoch uint64) (*DWK, error) {
	return load(ctx, root, RestoredLabel(epoch), identity, epoch)
}

// DestroyAll destroys the working key of every epoch, those that a restore put back too: what the root lists, and what it may have up to
// the epoch used and the one after it; then every key that lies in the root itself. It goes on after a failure, and gives all of them.
func DestroyAll(ctx context.Context, root hsm.Root, used uint64) error {
	all := func(bool, uint64) bool { return true }
	return errors.Join(DestroyUpTo(ctx, root, used+1, all), DestroyWhere(ctx, root, all), DestroyTokenKeys(ctx, root))
}

// DestroyWhere destroys the working keys that the root lists and unwanted names, by epoch and by whether a restore put them back. It goes on
// after a failure, and gives all of them.
func DestroyWhere(ctx context.Context, root hsm.Root, unwanted func(restored bool, epoch uint64) bool) error {
	st, err := root.Status(ctx)
	if err != nil {
		return fmt.Errorf("domainkeys: list what the root has: %w", err)
	}
	for _, label := range st.Labels {
		what, number, _ := strings.Cut(label, "-")
		epoch, notOne := strconv.ParseUint(number, 10, 64)
		if notOne != nil || what != whatDWK && what != whatRestored || !unwanted(what == whatRestored, epoch) {
			continue
		}
		err = errors.Join(err, destroy(ctx, root, label))
	}
	return err
}

// DestroyUpTo destroys the working keys that unwanted names, of the epochs from 1 to last, whether or not the root lists them: a root lists
// what it has a file of, and who moved a file away and puts it back later must not have saved the key. The newest goes first. It goes on
// after a failure, and gives all of them.
func DestroyUpTo(ctx context.Context, root hsm.Sealer, last uint64, unwanted func(restored bool, epoch uint64) bool) (err error) {
	for epoch := last; epoch > 0; epoch-- {
		if unwanted(false, epoch) {
			err = errors.Join(err, destroy(ctx, root, Label(epoch)))
		}
		if unwanted(true, epoch) {
			err = errors.Join(err, destroy(ctx, root, RestoredLabel(epoch)))
		}
	}
	return err
}

func destroy(ctx context.Context, root hsm.Sealer, label string) error {
	if err := root.Destroy(ctx, label); err != nil {
		return fmt.Errorf("domainkeys: destroy %s: %w", label, err)
	}
	return nil
}

// tamperedHeader says why the working keys were destroyed.
type tamperedHeader struct {
	V     uint   `cbor:"1,keyasint"` // 1
	What  string `cbor:"2,keyasint"` // "tampered"
	Cause string `cbor:"3,keyasint"`
}

// MarkTampered notes in the root why its working keys are about to be destroyed, until the log has it. A note that is there stays.
func MarkTampered(ctx context.Context, a *secret.Arena, root hsm.Sealer, cause string) error {
	one, err := secret.New(a, 1, func(b []byte) error { b[0] = 1; return nil })
	if err != nil {
		return fmt.Errorf("domainkeys: note tampering: %w", err)
	}
	defer one.Wipe()
	err = root.Seal(ctx, TamperedLabel, canon.Encode(tamperedHeader{V: 1, What: TamperedLabel, Cause: cause}), one)
	if err != nil && !errors.Is(err, hsm.ErrExists) {
		return fmt.Errorf("domainkeys: note tampering: %w", err)
	}
	return nil
}

// Tampered gives the cause that [MarkTampered] noted; not ok if there is none. A note that can't be read is a cause too.
func Tampered(ctx context.Context, root hsm.Sealer) (cause string, ok bool, err error) {
	b, one, err := root.Unseal(ctx, TamperedLabel)
	switch {
	case errors.Is(err, hsm.ErrNotFound):
		return "", false, nil
	case errors.Is(err, hsm.ErrAltered):
		return "the note of an earlier tampering was altered", true, nil
	case err != nil:
		return "", false, fmt.Errorf("domainkeys: read whether there was tampering: %w", err)
	}
	one.Wipe()
	var h tamperedHeader
	if err := canon.Decode(b, &h); err != nil || h.V != 1 || h.What != TamperedLabel {
		return "the note of an earlier tampering can't be read", true, nil
	}
	return h.Cause, true, nil
}

// ClearTampered removes the note once the log has it.
func ClearTampered(ctx context.Context, root hsm.Sealer) error {
	if err := root.Destroy(ctx, TamperedLabel); err != nil {
		return fmt.Errorf("domainkeys: clear the note of tampering: %w", err)
	}
	return nil
}
