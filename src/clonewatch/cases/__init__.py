"""Cases: groups under review, what people ruled about them, and the transparency log of every change."""
