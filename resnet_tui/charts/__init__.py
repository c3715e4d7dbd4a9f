"""How numbers become pictures: curves by plotext, heat maps, axes and colours. No widgets."""
