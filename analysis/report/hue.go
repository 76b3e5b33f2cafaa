package report

import "image/color"

// hue is a colour as 0xRRGGBBAA, not premultiplied.
type hue uint32

// The colours. Those of curves are of the palette that people with any colour vision tell apart; paper, ink, soft and
// grid may be replaced by the stylesheet of a page.
const (
	paper  hue = 0xffffffff
	ink    hue = 0x1f2328ff
	soft   hue = 0x59636eff
	grid   hue = 0xe2e5e9ff
	shade  hue = 0x8b949e38
	blue   hue = 0x0072b2ff
	sky    hue = 0x56b4e94c
	red    hue = 0xd55e00ff
	green  hue = 0x009e73ff
	orange hue = 0xe69f00ff
)

// dark is a colour for words in it: dark enough to be read on paper.
func (h hue) dark() hue {
	switch h {
	case red:
		return 0xa84a00ff
	case green:
		return 0x00734fff
	case orange:
		return 0x805800ff
	default:
		return h
	}
}

// RGBA is of color.Color.
func (h hue) RGBA() (r, g, b, a uint32) {
	return color.NRGBA{R: uint8(h >> 24), G: uint8(h >> 16), B: uint8(h >> 8), A: uint8(h)}.RGBA()
}

// hueOf is any colour as a hue.
func hueOf(c color.Color) hue {
	if h, ok := c.(hue); ok {
		return h
	}
	n, _ := color.NRGBAModel.Convert(c).(color.NRGBA)
	return hue(n.R)<<24 | hue(n.G)<<16 | hue(n.B)<<8 | hue(n.A)
}

// themed is the name of a colour that depends on the theme; empty: it does not.
func (h hue) themed() string {
	switch h {
	case paper:
		return "paper"
	case ink:
		return "ink"
	case soft:
		return "soft"
	case grid:
		return "grid"
	default:
		return ""
	}
}
