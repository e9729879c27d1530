-- What a release that adds a column to a sealed table would bring. Only programs with debug assertions have it, and only when they are
-- told to be their own successor (src/store/engine/level.rs).
INSERT INTO schema_levels (version, level) VALUES ('9999', 2);
ALTER TABLE secrets ADD COLUMN note TEXT NOT NULL DEFAULT '';
