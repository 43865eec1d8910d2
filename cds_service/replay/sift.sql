-- An export → the charts of the patients with an order of the drug. Run by shards.py, one stage after the other.
-- Variables: read, orders (resource types); patient_files, order_files, medication_files, chart_files (lists of paths);
-- longest_line (bytes); patients_a_shard.

-- stage: lines
CREATE MACRO id_in(pointer, kind) AS
    nullif(regexp_extract(pointer, '(?:^|/)' || kind || '/([A-Za-z0-9._-]+)(?:/_history/[^/]*)?/?$', 1), '');

-- Each line with what sorts it. A line that is no JSON has no kind; one that is no text, or longer than the longest
-- line, stands among the rejects.
CREATE MACRO lines_of(files) AS TABLE
    SELECT
        filename,
        line,
        said[1] AS kind,
        said[2] AS id,
        coalesce(said[3], said[4]) AS pointer,
        id_in(coalesce(said[5], said[6], said[7]), 'Medication') AS medication
    FROM (
        SELECT
            filename,
            line,
            try(json_extract_string(line, [
                '$.resourceType', '$.id', '$.subject.reference', '$.patient.reference',
                '$.medicationReference.reference', '$.medication.reference.reference', '$.medication.reference'
            ])) AS said
        FROM read_csv(
            files, columns = {'line': 'VARCHAR'}, delim = chr(1), quote = '', escape = '', header = false,
            auto_detect = false, filename = true, strict_mode = false, ignore_errors = true, store_rejects = true,
            max_line_size = getvariable('longest_line'), buffer_size = 2 * getvariable('longest_line')
        )
    )
    WHERE CASE WHEN said IS NULL THEN trim(coalesce(line, '')) <> '' ELSE true END;  -- trim is slow: only what is no JSON

CREATE TABLE people AS
    SELECT DISTINCT lower('urn:uuid:' || id) AS urn, id FROM lines_of(getvariable('patient_files'))
    WHERE kind = 'Patient' AND id IS NOT NULL;

-- Whose each line is, as far as that can be told: by Patient.id, a relative or absolute reference, or a urn:uuid that is
-- the id of a patient of this export.
CREATE MACRO lines_with_patients(files) AS TABLE
    SELECT
        found.*,
        CASE WHEN kind = 'Patient' THEN found.id ELSE coalesce(id_in(pointer, 'Patient'), people.id) END AS patient
    FROM lines_of(files) AS found LEFT JOIN people ON lower(pointer) = people.urn;

-- stage: counts
DROP TABLE IF EXISTS reject_errors;
DROP TABLE IF EXISTS reject_scans;
CREATE TABLE counted AS
    SELECT
        filename,
        kind,
        CASE WHEN pointer LIKE '%://%' THEN 'absolute' WHEN lower(pointer) LIKE 'urn:%' THEN 'urn' ELSE 'relative' END
            AS form,
        patient IS NULL AND kind <> 'Medication' AND list_contains(getvariable('read'), kind) AS is_nobodys,
        count(*) AS number
    FROM lines_with_patients(getvariable('chart_files')) GROUP BY ALL;
CREATE TABLE unreadable AS
    SELECT filename, sum(number) AS number FROM (
        SELECT filename, number FROM counted WHERE kind IS NULL
        UNION ALL
        SELECT file_path, count(*) FROM reject_errors JOIN reject_scans USING (scan_id, file_id) GROUP BY ALL
    ) GROUP BY ALL;

-- stage: statements
CREATE TABLE medications AS
    SELECT id, line FROM lines_of(getvariable('medication_files')) WHERE kind = 'Medication' AND id IS NOT NULL;
CREATE TABLE all_orders AS
    SELECT
        patient,
        medication,
        CAST(json_object(
            'medicationCodeableConcept', json_extract(line, '$.medicationCodeableConcept'),
            'medicationReference', json_extract(line, '$.medicationReference'),
            'medication', json_extract(line, '$.medication'),
            'contained', json_extract(line, '$.contained')
        ) AS VARCHAR) AS stated
    FROM lines_with_patients(getvariable('order_files')) WHERE list_contains(getvariable('orders'), kind);
CREATE TABLE statements AS
    SELECT row_number() OVER () AS number, stated, medication FROM (SELECT DISTINCT stated, medication FROM all_orders);
CREATE TABLE concerning (number BIGINT);

-- stage: charts
CREATE TABLE orders AS
    SELECT patient, number IN (SELECT number FROM concerning) AS concerns
    FROM all_orders JOIN statements
    ON all_orders.stated = statements.stated AND all_orders.medication IS NOT DISTINCT FROM statements.medication;
-- The same export gives the same shards.
CREATE TABLE chosen AS
    SELECT
        patient,
        CAST((row_number() OVER (ORDER BY md5(patient), patient) - 1) // getvariable('patients_a_shard') AS INTEGER)
            AS shard
    FROM (SELECT DISTINCT patient FROM orders WHERE concerns AND patient IS NOT NULL);
CREATE TABLE charts AS
    SELECT chosen.shard, chosen.patient, kind, id, line, medication
    FROM lines_with_patients(getvariable('chart_files')) AS found JOIN chosen ON chosen.patient = found.patient
    WHERE list_contains(getvariable('read'), kind) AND kind <> 'Medication';
CREATE TABLE needed AS
    SELECT DISTINCT shard, patient, medication AS id FROM charts WHERE medication IS NOT NULL;
INSERT INTO needed
    SELECT DISTINCT shard, patient, id_in(inside, 'Medication') FROM (
        SELECT shard, patient, unnest(json_extract_string(line, '$.ingredient[*].itemReference.reference')) AS inside
        FROM needed JOIN medications USING (id)
    ) WHERE id_in(inside, 'Medication') IS NOT NULL;
CREATE VIEW shard_lines AS
    SELECT DISTINCT shard, patient, kind, line FROM charts
    UNION ALL
    SELECT DISTINCT shard, patient, 'Medication', line FROM needed JOIN medications USING (id);
