package gogit

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"strings"
	"testing"
)

func deflated(t testing.TB, content []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zlib.NewWriter(&out)
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// FuzzCheckPack lets nothing through that is over a limit, and neither panics nor runs on.
func FuzzCheckPack(f *testing.F) {
	for _, deltas := range []int{0, 1, 4, 9} {
		f.Add(packOf(f, deltas))
	}
	f.Add([]byte("PACK"))
	f.Add([]byte("PACK\x00\x00\x00\x02\xff\xff\xff\xff"))
	f.Add(append([]byte("PACK\x00\x00\x00\x02\x00\x00\x00\x01\x74"), append(make([]byte, 20), deflated(f, []byte{4, 4, 0x90, 4})...)...))
	limits := Limits{Objects: 8, ObjectBytes: 1 << 10, InflatedBytes: 4 << 10, DeltaDepth: 3}.withDefaults()
	f.Fuzz(func(t *testing.T, pack []byte) {
		asked := 0
		seen, err := checkPack(bytes.NewReader(pack), limits, func(string) bool { asked++; return false })
		if asked > int(limits.Objects) {
			t.Errorf("%d bases looked for among at most %d objects", asked, limits.Objects)
		}
		if err == nil && len(pack) < 12 {
			t.Error("less than a header is a pack")
		}
		if _, again := checkPack(bytes.NewReader(pack), limits, func(string) bool { return true }); (again == nil) != (err == nil) {
			t.Errorf("%v, and then %v", err, again)
		}
		if err == nil && (&resolving{inspection: seen, room: 1 << 20}).resolve(bytes.NewReader(pack)) == nil {
			for _, o := range seen.objects {
				if o.id.IsZero() {
					t.Errorf("the object at %d has no id", o.offset)
				}
			}
		}
	})
}

// FuzzParseTree writes what it read and must get the same bytes, but for the form of modes; names that pass are harmless.
func FuzzParseTree(f *testing.F) {
	id := strings.Repeat("\x11", 20)
	for _, seed := range []string{"", "100644 a\x00" + id, "40000 d\x00" + id + "120000 l\x00" + id, "100644 \x00" + id, "100644 a\x00short", "0100644 a\x00" + id,
		"100644 .git\x00" + id, "100644 A\x00" + id + "100644 a\x00" + id, "99 a\x00" + id, "37777777777777 a\x00" + id, " a\x00" + id} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		entries, err := parseTree(raw, 16)
		if err != nil {
			return
		}
		if len(entries) > 16 {
			t.Fatalf("%d entries, at most 16 are allowed", len(entries))
		}
		rest := raw
		for _, e := range entries {
			_, after, _ := bytes.Cut(rest, []byte(" "))
			want := e.name + "\x00" + string(e.id[:])
			if !strings.HasPrefix(string(after), want) || strings.Contains(e.name, "\x00") {
				t.Fatalf("entry %q is not what stands in %q", e.name, rest)
			}
			rest = after[len(want):]
		}
		if len(rest) > 0 {
			t.Fatalf("%q is left over", rest)
		}
		if checkNames(entries) != nil {
			return
		}
		for _, e := range entries {
			if strings.ContainsAny(e.name, "/\\") || strings.EqualFold(e.name, ".git") || e.name == ".." || e.name == "." || e.name == "" {
				t.Fatalf("the name %q passed", e.name)
			}
		}
	})
}

// FuzzPackets reads listings and advertisements: what passes has ids and names, and no byte is read beyond the flush.
func FuzzPackets(f *testing.F) {
	id := strings.Repeat("a1", 20)
	lines := func(l ...string) []byte {
		var b []byte
		for _, line := range l {
			b = appendPacket(b, line)
		}
		return append(b, "0000rest"...)
	}
	f.Add(lines(id+" refs/heads/main\n", id+" HEAD symref-target:refs/heads/main\n", id+" refs/tags/v1 peeled:"+id+"\n"))
	f.Add(lines("# service=git-upload-pack\n"))
	f.Add(lines("version 2\n", "ls-refs=unborn\n", "object-format=sha1\n"))
	f.Add(lines("ERR no such thing\n"))
	f.Add([]byte("0003"))
	f.Add([]byte("ffff"))
	f.Add([]byte("0004000100020000"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		_, _ = opening(bufio.NewReader(bytes.NewReader(raw)))
		_ = readHead(bufio.NewReader(bytes.NewReader(raw)))
		in := bytes.NewReader(raw)
		l := listing{tips: map[string]tip{}, symrefs: map[string]string{}}
		taken := 0
		for {
			line, kind, err := readPacket(in)
			if err != nil || kind == flush {
				break
			}
			if size := len(raw) - in.Len() - taken; size < 4 || size > 0xffff || len(line) > size-4 {
				t.Fatalf("a packet of %d bytes with a line of %d", size, len(line))
			}
			taken = len(raw) - in.Len()
			if kind == data {
				l.add(line)
			}
		}
		for name, at := range l.tips {
			if !isID(at.commit) || !isID(at.object) || strings.Contains(name, " ") {
				t.Fatalf("%q is at %+v", name, at)
			}
		}
	})
}
