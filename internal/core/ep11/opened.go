// SPDX-License-Identifier: Apache-2.0

package ep11

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"time"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/core/keycache"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/secret"
)

// OpenedMost is how many keys [Opened] keeps at most, and OpenedMemory the arena that each of them takes at most, in bytes: the key and its pad.
const (
	OpenedMost   = 2048
	OpenedMemory = 2 * openedKey
)

const (
	openedKey  = 64      // bytes of the largest key that is kept: larger ones take so long to use that opening them is little beside it
	openedUses = 1 << 12 // a key is used so often and then opened anew, which shows damage that a check value may miss
)

// Opened keeps keys of blobs open between calls: masked, in the arena, bounded by number, idle time and uses. It is found by the SHA-256 of the
// whole blob, so what it gives is what opening these bytes gave. It is no policy: epoch, owner, session, expiry, attributes, grant and revocation are
// looked at in each call, as for a key that was just opened. Its methods are safe for concurrent use.
type Opened struct {
	cache *keycache.Cache[blobID]
}

// blobID is what a key was opened from.
type blobID struct {
	session [sessionSize]byte // that it is bound to, or zeros
	blob    [sha256.Size]byte
}

// known is what is kept of a key besides its secret. Nobody changes it.
type known struct {
	header
	attributes ep11.Template
	parent     secret.Bytes // that it was opened with: what is opened under a key that was wiped since is no good
}

// NewOpened makes an empty one. A key that was not used for idle is wiped.
func NewOpened(idle time.Duration) (*Opened, error) {
	c, err := keycache.New[blobID](keycache.Config{Entries: OpenedMost, Idle: idle, Uses: openedUses, Mask: true})
	return &Opened{cache: c}, err
}

// Forget wipes all keys and gives how many there were. One in use is wiped when its call ends, and what is being opened meanwhile is not kept. Whoever
// wants no key back wipes the parent keys first.
func (k *Opened) Forget() (n int) {
	k.cache.Drop(func(blobID) bool { n++; return true })
	return n
}

// ForgetSessions wipes the keys that are bound to login sessions.
func (k *Opened) ForgetSessions() {
	k.cache.Drop(func(id blobID) bool { return id.session != [sessionSize]byte{} })
}

// Sweep wipes the keys that are idle too long.
func (k *Opened) Sweep(now time.Time) { k.cache.Sweep(now) }

// Kept counts the keys that are kept.
func (k *Opened) Kept() int { return k.cache.Stats().Entries }

// errNotKept says that a key was opened, and is not to be kept.
var errNotKept = errors.New("ep11: the key is not kept open")

// opened gives the key of a blob: kept open, or opened. The caller wipes it.
func (w *work) opened(blob []byte) (*object, error) {
	if w.env.Opened == nil || len(blob) > ep11.MaxBlob || len(blob) <= sessionSize {
		return w.open(blob)
	}
	var own *object // opened here, and the caller's alone
	var refused error
	id := blobID{[sessionSize]byte(blob), sha256.Sum256(blob)}
	h, err := w.env.Opened.cache.GetKnown(w.ctx, w.env.Since, id, func() (secret.Bytes, any, error) {
		if own, refused = w.open(blob); refused != nil {
			return secret.Bytes{}, nil, refused
		}
		if !own.keepable() {
			return secret.Bytes{}, nil, errNotKept
		}
		kept := own
		own = nil // the cache's
		return kept.key.Secret, &known{kept.header, kept.Attributes, w.epochOf(kept.Pattern).Parent}, nil
	})
	switch {
	case own != nil:
		return own, nil
	case refused != nil:
		return nil, refused
	case err != nil && w.ctx.Err() != nil:
		return nil, w.ctx.Err()
	case err != nil: // another call opened it and may not keep it, or there is no room to mask it
		return w.open(blob)
	}
	o, err := w.kept(id, h)
	if errors.Is(err, errNotKept) {
		return w.open(blob)
	}
	return o, err
}

// close wipes a key that was kept, once its uses have ended: who asked for it may not use it.
func (w *work) close(o *object) {
	if o.handle != nil {
		w.env.Opened.cache.Remove(o.kept)
	}
}

// keepable says whether a key is small enough to be kept, and would show that it changed while it was.
func (o *object) keepable() bool {
	same, err := o.unchanged()
	return err == nil && same && o.key.Secret.Len() <= openedKey
}

// unchanged says whether a key is surely the one that was sealed. What a private key signs is verified; a secret key is held against its check value.
func (o *object) unchanged() (bool, error) {
	if o.Class == ep11.CKO_PRIVATE_KEY {
		return true, nil
	}
	sum, err := checkSum(o.key)
	return err == nil && bytes.Equal(sum[:3], o.Attributes[ep11.CKA_CHECK_VALUE].Bytes), err
}

// kept makes the object of a key that was kept, if it still fits the domain. The key that it was opened with must live.
func (w *work) kept(id blobID, h *keycache.Handle) (*object, error) {
	k := h.Known().(*known)
	o := &object{header: k.header, Attributes: k.attributes, handle: h, kept: id}
	o.key = family.Key{Type: o.Type, Params: o.Params, Secret: h.Key(), Public: o.Public}
	err := w.fits(o)
	if err == nil && !w.epochOf(o.Pattern).Parent.Equal(k.parent) {
		err = errNotKept
	}
	if err == nil {
		var same bool
		if same, err = o.unchanged(); err == nil && !same {
			err = family.ErrFault
		}
	}
	if err != nil {
		o.wipe()
		return nil, err
	}
	return o, nil
}
