// SPDX-License-Identifier: Apache-2.0

// Command protos writes api/gen from api/proto: messages by protoc-gen-go, clients and servers by protoc-gen-go-grpc, both of the versions in
// tools/go.mod. It parses the sources itself (protocompile), so that no protoc of the system is needed. Its test fails when what is
// committed is not what it would write.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/protoutil"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

// plugins are run in this order; each gets all files.
var plugins = []string{"google.golang.org/protobuf/cmd/protoc-gen-go", "google.golang.org/grpc/cmd/protoc-gen-go-grpc"}

func main() {
	if err := run(context.Background(), ".."); err != nil {
		fmt.Fprintln(os.Stderr, "protos: error:", err)
		os.Exit(1)
	}
}

// run writes the generated files of the tree at root.
func run(ctx context.Context, root string) error {
	files, err := generate(ctx, filepath.Join(root, "api", "proto"))
	if err != nil {
		return err
	}
	for name, text := range files {
		to := filepath.Join(root, "api", "gen", filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(to, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// generate gives what is generated from all .proto files below dir, by name.
func generate(ctx context.Context, dir string) (map[string][]byte, error) {
	req, err := parse(ctx, dir)
	if err != nil {
		return nil, err
	}
	in, err := proto.Marshal(req)
	if err != nil {
		return nil, err
	}
	out := map[string][]byte{}
	for _, p := range plugins {
		var b, words bytes.Buffer
		cmd := exec.CommandContext(ctx, "go", "run", p)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &b, &words
		if err := cmd.Run(); err != nil {
			return nil, fmt.Errorf("%s: %w: %s", path.Base(p), err, words.Bytes())
		}
		var resp pluginpb.CodeGeneratorResponse
		if err := proto.Unmarshal(b.Bytes(), &resp); err != nil {
			return nil, fmt.Errorf("%s: %w", path.Base(p), err)
		}
		if resp.Error != nil {
			return nil, fmt.Errorf("%s: %s", path.Base(p), resp.GetError())
		}
		for _, f := range resp.File {
			out[f.GetName()] = []byte(f.GetContent())
		}
	}
	return out, nil
}

// parse reads all .proto files below dir, in order.
func parse(ctx context.Context, dir string) (*pluginpb.CodeGeneratorRequest, error) {
	var names []string
	err := fs.WalkDir(os.DirFS(dir), ".", func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(p, ".proto") {
			names = append(names, p)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, errors.New("there is no .proto file below " + dir)
	}
	slices.Sort(names)
	c := protocompile.Compiler{Resolver: &protocompile.SourceResolver{ImportPaths: []string{dir}}, SourceInfoMode: protocompile.SourceInfoStandard}
	files, err := c.Compile(ctx, names...)
	if err != nil {
		return nil, err
	}
	req := &pluginpb.CodeGeneratorRequest{FileToGenerate: names, Parameter: proto.String("paths=source_relative")}
	for _, f := range files {
		req.ProtoFile = append(req.ProtoFile, proto.CloneOf[*descriptorpb.FileDescriptorProto](protoutil.ProtoFromFileDescriptor(f)))
	}
	return req, nil
}
