// SPDX-License-Identifier: Apache-2.0

package witnessapp

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"strongroom/internal/core/auditlog/disk"
	"strongroom/internal/edge/witnesshttp"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/tlog"
	protocol "strongroom/internal/pure/witness"
	"strongroom/internal/svc/witness"
)

// Names in the state folder.
const (
	lockName    = "lock"
	stateSuffix = ".state"
)

// stride holds a state of the largest size.
const stride = 16 << 10

// ErrInUse says that another witness uses the state folder.
var ErrInUse = errors.New("another log witness uses this state folder; stop it first")

// kept is the state of a log as it lies on disk: docs/spec/witness.md. Numbers are never reused.
type kept struct {
	Origin   string   `cbor:"1,keyasint"`
	Size     uint64   `cbor:"2,keyasint"`
	Root     [32]byte `cbor:"3,keyasint"`
	Cosigned []byte   `cbor:"4,keyasint"`
}

// State keeps what a witness remembers in a folder, one slot file a log. It is a [witness.Store].
type State struct {
	dir  disk.Dir
	lock disk.File

	mu   sync.Mutex // guards logs; a log's own fields are guarded by the witness, which handles one submission of a log at a time
	logs map[string]*logState
}

type logState struct {
	slots *disk.Slots
	read  bool
	state witness.State
}

// OpenState uses a folder, where nothing need be yet, alone.
func OpenState(dir disk.Dir) (*State, error) {
	lock, err := dir.Open(lockName, true)
	if err != nil {
		return nil, fmt.Errorf("open witness state: %w", err)
	}
	if err := lock.TryLock(0); err != nil {
		if errors.Is(err, disk.ErrLocked) {
			err = ErrInUse
		}
		return nil, errors.Join(fmt.Errorf("open witness state %s: %w", dir.Path(""), err), lock.Close())
	}
	return &State{dir: dir, lock: lock, logs: map[string]*logState{}}, nil
}

// of gives the place of a log.
func (s *State) of(origin string) (*logState, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l, ok := s.logs[origin]; ok {
		return l, nil
	}
	slots, err := disk.OpenSlots(s.dir, witnesshttp.OriginHash(origin)+stateSuffix, stride)
	if err != nil {
		return nil, err
	}
	l := &logState{slots: slots}
	s.logs[origin] = l
	return l, nil
}

// Load gives the state of a log.
func (s *State) Load(_ context.Context, origin string) (witness.State, error) {
	l, err := s.of(origin)
	if err != nil || l.read {
		return stateOf(l), err
	}
	b, err := l.slots.Read()
	if errors.Is(err, disk.ErrAbsent) {
		l.read = true
		return witness.State{}, nil
	}
	if err != nil {
		return witness.State{}, err
	}
	var k kept
	if err := canon.Decode(b, &k); err != nil {
		return witness.State{}, fmt.Errorf("state of %s: %w", origin, err)
	}
	if k.Origin != origin || k.Size > tlog.MaxSize {
		return witness.State{}, fmt.Errorf("the state file of %s is of %q, or damaged", origin, k.Origin)
	}
	l.state, l.read = witness.State{Record: protocol.Record{Size: k.Size, Root: k.Root}, Cosigned: k.Cosigned}, true
	return l.state, nil
}

func stateOf(l *logState) witness.State {
	if l == nil {
		return witness.State{}
	}
	return l.state
}

// Save replaces the state of a log, durably.
func (s *State) Save(_ context.Context, origin string, to witness.State) error {
	l, err := s.of(origin)
	if err != nil {
		return err
	}
	if err := l.slots.Write(canon.Encode(kept{origin, to.Size, to.Root, to.Cosigned})); err != nil {
		l.read = false // the slots refuse from now on
		return err
	}
	l.state, l.read = to, true
	return nil
}

// Close gives the folder back.
func (s *State) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, l := range s.logs {
		errs = append(errs, l.slots.Close())
	}
	return errors.Join(append(errs, s.lock.Close())...)
}
