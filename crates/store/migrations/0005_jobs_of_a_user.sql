-- An app asks for the jobs of one of its users. Jobs without a user cost nothing.
CREATE INDEX job_of_user ON job (tenant_id, user_label, id) WHERE user_label IS NOT NULL;
