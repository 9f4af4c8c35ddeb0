// SPDX-License-Identifier: Apache-2.0

package grep11_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"strongroom/api/gen/grep11"
)

// TestWire compares the generated descriptors with the table of the interface, both ways: messages, numbers, names, types, enums, calls.
func TestWire(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("testdata/wire.txt")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			want = append(want, line)
		}
	}
	got := append(describe(grep11.File_grep11_server_proto), describe(grep11.File_grep11_error_proto)...)
	slices.Sort(want)
	slices.Sort(got)
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("missing: %s", line)
		}
	}
	for _, line := range got {
		if !slices.Contains(want, line) {
			t.Errorf("not in the interface: %s", line)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d lines, want %d", len(got), len(want))
	}
}

// TestService: forty unary calls, each with messages of its own name, at the interface's path.
func TestService(t *testing.T) {
	t.Parallel()
	services := grep11.File_grep11_server_proto.Services()
	if services.Len() != 1 || services.Get(0).FullName() != "grep11.Crypto" {
		t.Fatal("there is not one service grep11.Crypto")
	}
	m := services.Get(0).Methods()
	if m.Len() != 40 {
		t.Errorf("%d calls, want 40", m.Len())
	}
	for i := range m.Len() {
		d := m.Get(i)
		if d.IsStreamingClient() || d.IsStreamingServer() || d.Input().Name() != d.Name()+"Request" || d.Output().Name() != d.Name()+"Response" {
			t.Errorf("%s: %s to %s", d.Name(), d.Input().Name(), d.Output().Name())
		}
	}
}

// describe gives the lines of a file.
func describe(f protoreflect.FileDescriptor) (lines []string) {
	for i := range f.Messages().Len() {
		m := f.Messages().Get(i)
		if m.Fields().Len() == 0 {
			lines = append(lines, string(m.Name()))
		}
		for j := range m.Fields().Len() {
			d := m.Fields().Get(j)
			lines = append(lines, fmt.Sprintf("%s %d %s %s%s", m.Name(), d.Number(), d.Name(), typeOf(d), oneof(d)))
		}
		for j := range m.Enums().Len() {
			e := m.Enums().Get(j)
			for k := range e.Values().Len() {
				lines = append(lines, fmt.Sprintf("enum %s.%s %d %s", m.Name(), e.Name(), e.Values().Get(k).Number(), e.Values().Get(k).Name()))
			}
		}
	}
	return lines
}

func typeOf(d protoreflect.FieldDescriptor) string {
	switch {
	case d.IsMap():
		return fmt.Sprintf("map<%s,%s>", typeOf(d.MapKey()), typeOf(d.MapValue()))
	case d.IsList():
		return "repeated " + one(d)
	}
	return one(d)
}

func one(d protoreflect.FieldDescriptor) string {
	switch {
	case d.Message() != nil:
		return string(d.Message().Name())
	case d.Enum() != nil:
		return string(d.Enum().Name())
	}
	return d.Kind().String()
}

// oneof is checked for the two messages that have one.
func oneof(d protoreflect.FieldDescriptor) string {
	o := d.ContainingOneof()
	want := protoreflect.Name("")
	switch {
	case d.Parent().Name() == "Mechanism" && d.Number() != 1:
		want = "Parameter"
	case d.Parent().Name() == "AttributeValue":
		want = "one_attr"
	}
	switch {
	case o == nil && want == "", o != nil && o.Name() == want:
		return ""
	}
	return " in another oneof than " + string(want)
}
