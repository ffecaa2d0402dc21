"""What both kinds of pages share: templates, assets, words, charts, forms. Opens nothing."""
