// SPDX-License-Identifier: Apache-2.0

package rulefile

import (
	"regexp"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"

	"strongroom/internal/pure/custody"
)

// amount reads base units, quoted or not. The digits are read as they stand: YAML's own reading would round or reinterpret.
func (r *reader) amount(n *yaml.Node, path string) *custody.Uint256 {
	s, ok := r.Scalar(n, path, `an amount in base units, for instance "1000000"`, "!!str", "!!int", "!!float")
	if !ok {
		return nil
	}
	u, err := custody.ParseUint256(s)
	if err != nil {
		r.Fail(n, path, "%v", err)
		return nil
	}
	return &u
}

// maxDuration is far beyond what a document may say, in seconds.
const maxDuration = 366 * 86400

var durationRE = regexp.MustCompile(`^(?:([1-9][0-9]{0,8})d)?(?:([1-9][0-9]{0,8})h)?(?:([1-9][0-9]{0,8})m)?(?:([1-9][0-9]{0,8})s)?$`)

// delay is duration, and 0s or 0h too.
func (r *reader) delay(n *yaml.Node, path string) int64 {
	if n.Value == "0s" || n.Value == "0h" {
		return 0
	}
	return r.duration(n, path)
}

// duration reads days, hours, minutes and seconds, for instance 24h or 1h30m, and gives seconds.
func (r *reader) duration(n *yaml.Node, path string) int64 {
	s, ok := r.Scalar(n, path, "a duration, for instance 24h", "!!str")
	if !ok {
		return 0
	}
	m := durationRE.FindStringSubmatch(s)
	if s == "" || m == nil {
		r.Fail(n, path, "%q: want days, hours, minutes and seconds in this order, for instance 24h, 1h30m or 7d", s)
		return 0
	}
	var total int64
	for i, unit := range []int64{86400, 3600, 60, 1} {
		if m[i+1] != "" {
			v, err := strconv.ParseInt(m[i+1], 10, 64)
			if err != nil {
				r.Fail(n, path, "%q: %v", s, err)
				return 0
			}
			total += v * unit
		}
	}
	if total > maxDuration {
		r.Fail(n, path, "%q is longer than 366 days", s)
	}
	return total
}

// set reads a list of texts and sorts it: in a rule file the order has no meaning. Empty or with an item twice it is refused.
func set[T ~string](r *reader, n *yaml.Node, path string) []T {
	vs := members[T](r, n, path)
	if r.Err == nil && len(vs) == 0 {
		r.Fail(n, path, "the list is empty; leave the key out to match anything")
	}
	return vs
}

// members is [set] for a list that may be empty.
func members[T ~string](r *reader, n *yaml.Node, path string) []T {
	var vs []T
	r.Sequence(n, path, func(n *yaml.Node, path string) {
		v := T(r.Text(n, path))
		if slices.Contains(vs, v) {
			r.Fail(n, path, "%q is in the list twice", string(v))
		}
		vs = append(vs, v)
	})
	slices.Sort(vs)
	return vs
}
