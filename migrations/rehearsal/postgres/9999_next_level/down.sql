ALTER TABLE secrets DROP COLUMN note;
DELETE FROM schema_levels WHERE version = '9999';
